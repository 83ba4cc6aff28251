"""Minibatches cut from arrays in memory, where that gives the same bits."""
