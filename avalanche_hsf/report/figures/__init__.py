"""Figures: of the matrices R of each learner's runs, and of what an analysis found."""
