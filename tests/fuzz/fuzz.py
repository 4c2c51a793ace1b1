"""Fuzzes one target with libFuzzer: `fuzz.py TARGET FOLDER SECONDS RUNS`; needs .venv-fuzz (`make fuzz`).

What breaks a rule is written into FOLDER/findings, once for each place in the code, and the run goes on: one
finding that comes up again and again must not hide the others.
"""

import contextlib
import sys
import time
import traceback
import zlib
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from fuzz_seeds import dictionary, leading, seeds  # noqa: E402 - the folder is on the path now

# What leads the fuzzer; the log, the rules and the simulators are called as well and would only cost time.
with atheris.instrument_imports(include=leading(sys.argv[1]), enable_loader_override=False):
    from fuzz_targets import TARGETS

_SLOW_S = 0.020  # for a KB; the box under load is no reason, so it is measured again in CPU time
_TELL = 8_192  # after so many the count is noted, so that a kill costs no more
_EVERY = 64  # of so many inputs one is read twice, to see that nothing depends on what came before


def main() -> None:
    name, folder, seconds, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    target = TARGETS[name]
    findings = folder / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    (folder / "grown").mkdir(exist_ok=True)
    found: set[str] = set()
    executed = 0

    def one(data: bytes) -> None:
        nonlocal executed
        executed += 1
        if not executed % _TELL:
            (folder / "executed").write_text(str(executed))
        begun = time.perf_counter()
        try:
            target.run(data, twice=zlib.crc32(data) % _EVERY == 0)
        except Exception as fault:
            _note(fault, data, findings, found)
        if time.perf_counter() - begun > _allowed(data):
            _time_again(target.run, data, findings, found)

    options = [
        *(f"-max_len={target.max_len}", f"-runs={runs}", f"-max_total_time={seconds}"),
        *("-print_final_stats=1", "-timeout=60", "-rss_limit_mb=3000", "-use_value_profile=0"),
        *("-detect_leaks=0", "-reload=0", f"-artifact_prefix={findings}/", "-len_control=100"),
    ]
    (folder / "words").write_text(dictionary(name))
    options.append(f"-dict={folder / 'words'}")
    begin = folder / "begin"
    begin.mkdir(exist_ok=True)
    for seed in (seed for seed in seeds(name) if len(seed) <= target.max_len):
        (begin / f"{zlib.crc32(seed):08x}").write_bytes(seed)
    kept = HERE / "corpus" / name
    corpora = [str(place) for place in (folder / "grown", begin, kept) if place.is_dir()]
    atheris.Setup([sys.argv[0], *options, *corpora], one)
    atheris.Fuzz()


def _allowed(data: bytes) -> float:
    return _SLOW_S * (1 + len(data) / 1024)


def _time_again(run: object, data: bytes, findings: Path, found: set[str]) -> None:
    """Find out whether an input is slow by itself."""
    best = min(_timed(run, data) for _ in range(3))
    if best > _allowed(data):
        _write("slow", f"{best * 1000:.0f} ms of CPU for {len(data)} bytes", data, findings, found)


def _timed(run: object, data: bytes) -> float:
    begun = time.process_time()
    with contextlib.suppress(Exception):  # it was noted the first time
        run(data, twice=False)  # type: ignore[operator]  # a target
    return time.process_time() - begun


def _note(fault: Exception, data: bytes, findings: Path, found: set[str]) -> None:
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [frame for frame in frames if "fuzz_rules" not in frame.filename] or frames
    place = f"{type(fault).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"
    if type(fault).__name__ == "Broken":
        place += f"-{zlib.crc32(str(fault)[:40].encode()):08x}"
    if place not in found:
        _write(place, "".join(traceback.format_exception(fault)), data, findings, found)


def _write(place: str, text: str, data: bytes, findings: Path, found: set[str]) -> None:
    found.add(place)
    (findings / f"{place}.input").write_bytes(data)
    (findings / f"{place}.txt").write_text(text)


main()
