from .blame import blame
from .findings import TaskFindings, examine
from .page import forensics_report
from .parts import choose_components
from .plugin import ForensicsPlugin
from .pooled import pooled
from .repair import Repair, blamed, repair
from .run import RunFindings, examine_run
from .verdict import Verdict, give_verdict

__all__ = [
    "ForensicsPlugin",
    "Repair",
    "RunFindings",
    "TaskFindings",
    "Verdict",
    "blame",
    "blamed",
    "choose_components",
    "examine",
    "examine_run",
    "forensics_report",
    "give_verdict",
    "pooled",
    "repair",
]
