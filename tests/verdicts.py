"""What tests written in Python say of their cases: a line for each, and the sum."""

passed = failed = 0


def report(name, complaint=None):
    global passed, failed
    if complaint is None:
        passed += 1
        print("ok", name, flush=True)
    else:
        failed += 1
        print(f"not ok {name}: {complaint}", flush=True)


def conclude():
    """Prints the last line; returns the status to exit with."""
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
