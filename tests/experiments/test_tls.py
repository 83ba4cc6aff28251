"""A Dask cluster that only those with its certificates reach, set as Dask's own manual says."""

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from avalanche_hsf.experiments import ResultsFile

PEM = "certificate.pem"
WORDS = ["reproduce", "--epochs", "1", "--seeds", "1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A folder with a certificate that signs itself, for all parties."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    folder = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    files = ["-keyout", "key.pem", "-out", PEM]
    subprocess.run([*make.split(), *files], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_runs_on_a_cluster_with_tls(certificate, tmp_path):
    ours = dict(os.environ)
    for party in ("CLIENT", "SCHEDULER", "WORKER"):
        ours[f"DASK_DISTRIBUTED__COMM__TLS__{party}__KEY"] = str(certificate / "key.pem")
        ours[f"DASK_DISTRIBUTED__COMM__TLS__{party}__CERT"] = str(certificate / PEM)
    ours["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] = str(certificate / PEM)
    ours["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "true"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"tls://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    host = ["--host", "127.0.0.1"]
    quiet = {"env": ours, "stderr": subprocess.DEVNULL}
    parties = [
        [*dask, "scheduler", "--protocol", "tls", *host, "--port", port, "--no-dashboard"],
        [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
    ]
    running = [subprocess.Popen(party, **quiet) for party in parties]
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.2)
        command = [sys.executable, "-m", "avalanche_hsf.cli", *WORDS, "--scheduler", address]
        options = {"capture_output": True, "text": True, "check": False, "timeout": 180}
        made = subprocess.run([*command, "--out", str(tmp_path / "a")], env=ours, **options)
        assert made.returncode == 0, made.stderr
        assert len(ResultsFile(tmp_path / "a").runs) == 2
        # Without a certificate, or without TLS, nobody is let in.
        bare = {name: value for name, value in ours.items() if "__TLS__" not in name}
        refused = subprocess.run([*command, "--out", str(tmp_path / "b")], env=bare, **options)
        assert refused.returncode == 2, refused.stderr
        command[-1] = address.replace("tls", "tcp")
        refused = subprocess.run([*command, "--out", str(tmp_path / "c")], **options)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr
    finally:
        for process in running:
            process.kill()
            process.wait()
