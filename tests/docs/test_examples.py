"""Every example in a docstring, the README and the documentation does what it says."""

import doctest
import importlib
import pkgutil
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import serversocket

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(serversocket.__path__, "serversocket.")
    if not name.endswith("__main__")
    and (("._pure" in name) == (serversocket.implementation == "pure") or "._" not in name)
]


@pytest.mark.parametrize("name", ["serversocket", *MODULES])
def test_docstrings(name):
    module = importlib.import_module(name)
    # The examples of a class are written for its users: they find the public names.
    names = {**vars(module), **{public: getattr(serversocket, public) for public in serversocket.__all__}}
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name, extraglobs=names):
        failures = []
        runner.run(test, out=failures.append)
        assert not failures, "".join(failures)


def snippets(language):
    for page in PAGES:
        for code in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield pytest.param(code, id=f"{page.name}: {code.strip().splitlines()[0][:40]}")


@pytest.mark.parametrize("code", list(snippets("python")))
def test_python_snippets_compile(code):
    compile(code, "snippet", "exec")


def test_the_readmes_example_is_an_echo_server(unused_port):
    code = first_snippet(ROOT / "README.md")
    assert len(code.strip().splitlines()) <= 13
    echoes([sys.executable, "-X", "dev", "-c", code.replace("8000", str(unused_port))], unused_port)


@pytest.mark.skipif(sys.platform != "linux", reason="needs what only Linux has")
def test_the_programs_with_workers_are_echo_servers(unused_port):
    code = first_snippet(ROOT / "docs" / "workers.md").replace("8000", str(unused_port))
    assert echoes([sys.executable, "-X", "dev", "-c", code], unused_port) == 0
    program = ROOT / "examples" / "workers.py"
    assert echoes([sys.executable, "-X", "dev", str(program), str(unused_port)], unused_port) == 0


def first_snippet(page):
    code = re.search(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)[1]
    assert "8000" in code
    return code


def echoes(command, unused_port):
    """Runs an echo server and asks it something; its exit status."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        with connected(unused_port, server) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=30)
    assert errors == b""
    return server.returncode


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def connected(port, server):
    while server.poll() is None:
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            continue
        return client
    pytest.fail("the example has ended")
