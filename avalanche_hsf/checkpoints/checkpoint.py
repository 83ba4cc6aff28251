"""A checkpoint: where in the stream it is, and the states that training goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avalanche_hsf.checkpoints import file
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.strategy import State


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        experience: Experiences that were trained to their end.
        epoch: Epochs of the next one that were trained; 0: it has not begun.
        number: Of that experience in its stream; None: it is not known.
        print: The fingerprint of its samples; "": they are not known.
        called: Whether `train` was called for that experience by itself, or goes through several.
        stream: Fingerprints of the experiences known, see `Known`.
        identity: See `identity_of`.
        begin: The state in which the experience begins, before it is prepared.
        now: The state after `epoch` epochs; None for 0.
    """

    experience: int
    epoch: int
    number: int | None
    print: str
    called: bool
    stream: dict[str, str]
    identity: dict[str, Any]
    begin: State
    now: State | None = None

    def write(self, path: Path) -> None:
        states = [self.begin] if self.now is None else [self.begin, self.now]
        content = {
            "experience": self.experience,
            "epoch": self.epoch,
            "number": self.number,
            "print": self.print,
            "called": self.called,
            "stream": self.stream,
            "identity": self.identity,
            "states": [[state, len(tensors)] for state, tensors in states],
        }
        file.write(path, content, [tensor for _, tensors in states for tensor in tensors])

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Raises CheckpointError if the file is damaged, or none of these."""
        content, tensors = file.read(path)
        try:
            states = []
            for state, n in content.pop("states"):
                states.append((state, tensors[:n]))
                tensors = tensors[n:]
            return cls(**content, begin=states[0], now=states[1] if len(states) > 1 else None)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise CheckpointError(f"{path} is no checkpoint of avalanche-hsf: {error}") from error
