"""A headless Chromium, driven through a pipe by its DevTools protocol, without a library."""

import base64
import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 120.0
"""Seconds after which a browser is stopped, whatever it does."""


def find_browser():
    """The path of a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab.

    Attributes:
        complaints: What was written to the console as an error or warning, or thrown.
        requests: Addresses that were asked for.
    """

    def __init__(self, write, read):
        self._write, self._read = write, read
        self._n, self._session = 0, None
        self.complaints, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **arguments):
        """The result of a command of the protocol."""
        self._n += 1
        message = {"id": self._n, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while (answer := self._next()).get("id") != self._n:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, path, *, width=1280, height=900, scheme="light", media=""):
        """Loads a file in a window of that width, as it looks light or dark, or in print."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Page.navigate", url=path.resolve().as_uri())
        while (event := self._next()).get("method") != "Page.loadEventFired":
            self._note(event)

    def run(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key):
        """A key, as from a keyboard."""
        code = {"Tab": 9, "Enter": 13}[key]
        arguments = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **arguments, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **arguments)

    def screenshot(self, path):
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self):
        message = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            assert byte, f"the browser ended, perhaps stopped after {PATIENCE:.0f} s"
            message += byte
        return json.loads(message)

    def _note(self, event):
        method, said = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown" or (
            method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert")
        ):
            self.complaints.append(said)
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(said["entry"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])


@contextmanager
def browser(folder):
    """A browser whose profile lies in a folder; ended afterwards."""
    to_read, write = os.pipe()
    read, to_write = os.pipe()
    command = [
        find_browser(),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
        *("--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder}"),
    ]

    # The protocol has fixed numbers: commands come in by 3, answers go out by 4.
    wrapper = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
    process = subprocess.Popen(
        ["bash", "-c", wrapper, *command],
        pass_fds=(to_read, to_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(to_write)
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()
    with os.fdopen(write, "wb") as out, os.fdopen(read, "rb") as back:
        try:
            yield Browser(out, back)
        finally:
            watch.cancel()
            process.terminate()
            process.wait()
