"""The process that looks: it has no privilege, names what it may see, and whoever loses it goes on."""

import pytest
from support.forbidden import ANYWHERE, NUMBERS
from support.sandboxed import LINUX, ROOT, sandboxed

pytestmark = [LINUX, pytest.mark.skipif(not NUMBERS, reason="no numbers of system calls for this architecture")]

START = """
    import json, os, signal, socket, sys, time
    from support.flows import batch, tiktok_flow
    from netwatch.model.records import Release
    from netwatch.runtime.processes import Processes
    server = socket.create_server(("127.0.0.1", 0))
    looks = Processes(sys.argv[1])
    flow = tiktok_flow(client="127.0.0.2", server="127.0.0.1", server_port=server.getsockname()[1])
    def program():
        flows = looks.named(Release(batch([flow]), [])).flows
        return flows.processes[flows.process[0]]
"""


def test_the_program_of_a_flow_is_named_and_the_loss_of_the_process_is_said() -> None:
    code = (
        START
        + """
    first = program()
    os.kill(looks._pid, signal.SIGKILL)
    os.waitpid(looks._pid, 0)
    events = looks.poll() + looks.poll()
    print(json.dumps([first, program(), events, looks.report()]))
    """
    )
    first, after, events, report = sandboxed(code, "off")
    assert first is not None
    assert first == after
    assert events[-1] == "the process that looks at sockets ended; programs of new flows stay unknown"
    assert report == "programs: 2 flows named"


@ROOT
def test_s1_the_process_has_given_up_everything_and_another_users_program_stays_unknown() -> None:
    code = (
        START
        + """
    status = dict(line.split(":", 1) for line in open(f"/proc/{looks._pid}/status").read().splitlines())
    descriptors = len(os.listdir(f"/proc/{looks._pid}/fd"))
    name = program()
    print(json.dumps([name, looks.poll(), looks.report(), descriptors, status]))
    """
    )
    name, events, report, descriptors, status = sandboxed(code, "strict")
    assert name is None
    assert report == "programs: 0 flows named; unknown: another user's 1"
    assert events == []
    assert descriptors == 4  # /dev/null three times, and the link
    assert set(status["Uid"].split()) == {"65534"}
    assert status["Groups"].split() == []
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip(), status["Threads"].strip()) == ("1", "2", "1")


def test_it_ends_with_who_made_it() -> None:
    code = (
        START
        + """
    import select
    looks.close()
    try:
        os.kill(looks._pid, 0)
        there = True
    except ProcessLookupError:
        there = False
    print(json.dumps(there))
    """
    )
    assert sandboxed(code, "off") is False


def test_s2_what_it_may_not_do() -> None:
    """It reads what its user may read; all else is denied as to the others."""
    code = """
        import json
        from netwatch.runtime.guard import apply
        from support.forbidden import ANYWHERE, outcomes
        apply("processes", mode="strict")
        print(json.dumps(outcomes(ANYWHERE)))
    """
    results = sandboxed(code)
    reads = {"/etc/passwd", "/root", "/proc of the parent"}
    assert {name for name, result in results.items() if result == "done"} <= reads
    assert {results[name] for name in ANYWHERE if name not in reads} <= {"EPERM", "EACCES", "ENOSYS"}


def test_a_sandbox_that_is_refused_ends_it() -> None:
    code = """
        import json
        from netwatch.model.errors import GuardError
        from netwatch.runtime.guard import seccomp
        from netwatch.runtime.processes import Processes
        def lacking(program):
            raise OSError(38, "Function not implemented")
        seccomp.install = lacking
        try:
            Processes("strict")
        except GuardError as error:
            print(json.dumps(str(error)))
    """
    assert "seccomp" in sandboxed(code)


def test_psutil_is_asked_for_where_there_is_no_proc() -> None:
    code = """
        import json, sys
        from pathlib import Path
        from netwatch.model.errors import UsageError
        from netwatch.runtime.processes import helper
        helper.SOCKETS = Path("/nowhere")
        helper.find_spec = lambda name: None
        try:
            helper.Processes("off")
        except UsageError as error:
            print(json.dumps(str(error)))
    """
    assert "netwatch-telemetry[proc]" in sandboxed(code)
