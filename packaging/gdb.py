"""Coroutines of libdill in gdb, in a running process or in a core file.

    dill-coroutines      lists them: number, state, where it waits, where it was launched
    dill-bt N            the backtrace of number N, in the thread that is selected

Number 0 of a thread is its main flow of control. The library's symbols are needed, but no debug information of it.
src/rt/debugger.rs says where everything lies.
"""

import gdb
import gdb.unwinder

FIELDS = ("version", "current", "main", "slots", "len", "slot_size", "vfs", "close_bundle", "members", "next",
          "registers", "ready", "cancelled", "file", "line")


class Processor:
    def __init__(self, stack, instruction, thread, saved):
        self.stack = stack
        self.instruction = instruction
        # What the thread pointer is called, by gdb itself or by qemu.
        self.thread = thread
        # The saved registers, and where src/arch/*/switch.rs saves them.
        self.saved = saved


PROCESSORS = {
    "i386:x86-64": Processor("rsp", "rip", ("fs_base",),
                             {"rbx": 0, "rbp": 8, "r12": 16, "r13": 24, "r14": 32, "r15": 40, "rsp": 48, "rip": 56}),
    # x30 is where to go on. d8 to d15 are saved as well, but not shown.
    "aarch64": Processor("sp", "pc", ("tpidr", "TPIDR_EL0"),
                         {"x19": 288, "x20": 296, "x21": 0, "x22": 8, "x23": 16, "x24": 24, "x25": 32, "x26": 40,
                          "x27": 48, "x28": 56, "x29": 272, "x30": 280, "sp": 304, "pc": 280}),
}


def processor():
    return PROCESSORS.get(gdb.selected_inferior().architecture().name())


def symbol(name):
    """The address of a hidden symbol."""
    language = gdb.parameter("language")
    gdb.execute("set language c", to_string=True)
    try:
        return int(gdb.parse_and_eval(f"(long) &{name}"))
    finally:
        gdb.execute(f"set language {language}", to_string=True)


def memory(address, size):
    return int.from_bytes(gdb.selected_inferior().read_memory(address, size).tobytes(), "little")


def word(address):
    return memory(address, 8)


def string(address):
    data = b""
    while address and len(data) < 4096 and not data.endswith(b"\0"):
        data += gdb.selected_inferior().read_memory(address + len(data), 1).tobytes()
    return data.rstrip(b"\0").decode(errors="replace")


def layout():
    if gdb.selected_thread() is None:
        raise gdb.GdbError("there is no process and no core file")
    try:
        table = symbol("dill_layout")
    except gdb.error:
        raise gdb.GdbError("no libdill with symbols in this process (Debian: libdill20-dbgsym)")
    if processor() is None:
        raise gdb.GdbError("this works on x86-64 and 64-bit ARM only")
    found = {name: word(table + 8 * i) for i, name in enumerate(FIELDS)}
    if found["version"] != 1:
        raise gdb.GdbError("this script and the library are of different versions")
    return found


class Coroutine:
    def __init__(self, address, at, bundle, current):
        self.bundle = bundle
        self.running = address == current
        self.ready = memory(address + at["ready"], 1) != 0
        self.cancelled = memory(address + at["cancelled"], 1) != 0
        self.file = string(word(address + at["file"]))
        self.line = memory(address + at["line"], 4)
        self.registers = {name: word(address + at["registers"] + offset) for name, offset in processor().saved.items()}

    def frames(self):
        """The frames, newest first, while the unwinder shows this coroutine."""
        frame = gdb.newest_frame()
        frame = frame if self.running else frame.older()
        while frame is not None and frame.is_valid():
            yield frame
            frame = frame.older()

    def place(self):
        """The function of the library that it is in, and the line that called it."""
        inside = innermost = None
        for _, frame in zip(range(48), self.frames()):
            name = (frame.name() or "").split("::")[-1]
            if name.startswith("dill_"):
                inside = name
            elif inside or innermost is None:
                sal = frame.find_sal()
                line = f"{sal.symtab.filename}:{sal.line}" if sal.symtab else f"{frame.pc():#x}"
                innermost = innermost or f"{name}, {line}"
                if inside:
                    return f"{inside}, {line}"
        return innermost or "?"

    def state(self):
        state = "runs" if self.running else "ready" if self.ready else "waits"
        return state + (", being shut down" if self.cancelled else "")


def context_of_thread():
    """The context of the selected thread, 0 if it has none."""
    try:
        return word(symbol("dill_rt_context"))
    except gdb.error:
        pass
    # gdb cannot ask the C library where a thread has its variables: it is that of another machine.
    offset = word(symbol("dill_slot_offset"))
    if not offset:
        return 0
    for name in processor().thread:
        try:
            pointer = int(gdb.newest_frame().read_register(name))
        except ValueError:
            continue
        return word((pointer + offset) % 2**64)
    raise gdb.GdbError("no variables of threads can be found here: the thread pointer is not known")


def coroutines():
    """Those of the selected thread."""
    at = layout()
    context = context_of_thread()
    if not context:
        return []
    current = word(context + at["current"])
    found = [Coroutine(context + at["main"], at, None, current)]
    slots = word(context + at["slots"])
    for handle in range(word(context + at["len"])):
        vfs = word(slots + handle * at["slot_size"] + at["vfs"])
        # The functions of an object: query, close.
        if not vfs or word(vfs + 8) != at["close_bundle"]:
            continue
        head = vfs + at["members"]
        link = word(head + at["next"])
        while link and link != head:
            found.append(Coroutine(link, at, handle, current))
            link = word(link + at["next"])
    return found


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """Says, while a coroutine is shown, that the innermost frame was called by it."""

    def __init__(self):
        super().__init__("libdill")
        self.shown = None
        self.innermost = None

    def __call__(self, pending):
        if self.shown is None:
            return None
        here = pending.read_register(processor().stack), pending.read_register(processor().instruction)
        if (int(here[0]), int(here[1])) != self.innermost:
            return None
        info = pending.create_unwind_info(FrameId(*here))
        for name, value in self.shown.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info

    def show(self, coroutine, action):
        """Runs an action while the frames are those of the coroutine."""
        gdb.execute("frame 0", to_string=True)
        frame = gdb.newest_frame()
        self.innermost = tuple(int(frame.read_register(name)) for name in (processor().stack, processor().instruction))
        self.shown = None if coroutine.running else coroutine
        gdb.invalidate_cached_frames()
        try:
            return action()
        finally:
            self.shown = None
            gdb.invalidate_cached_frames()


UNWINDER = Unwinder()


class List(gdb.Command):
    """dill-coroutines: the coroutines of every thread that uses libdill."""

    def __init__(self):
        super().__init__("dill-coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        layout()
        selected = gdb.selected_thread()
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
            thread.switch()
            found = coroutines()
            if found:
                print(f"thread {thread.num}, {thread.name}")
            for number, coroutine in enumerate(found):
                origin = "main" if coroutine.bundle is None else \
                    f"launched at {coroutine.file}:{coroutine.line}, bundle {coroutine.bundle}"
                place = UNWINDER.show(coroutine, coroutine.place)
                print(f"{number:5}  {coroutine.state()}: {place}; {origin}")
        selected.switch()


class Backtrace(gdb.Command):
    """dill-bt N: the backtrace of a coroutine of the selected thread, as dill-coroutines numbers them."""

    def __init__(self):
        super().__init__("dill-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        found = coroutines()
        try:
            coroutine = found[int(argument, 0)]
        except (ValueError, IndexError):
            raise gdb.GdbError("dill-bt N: see dill-coroutines for the numbers")
        lines = UNWINDER.show(coroutine, lambda: gdb.execute("backtrace", to_string=True)).splitlines()
        if not coroutine.running:
            # The first frame is the thread's own, which the coroutine is shown below.
            start = next(i for i, line in enumerate(lines) if line.startswith("#1 "))
            lines = lines[start:]
        print("\n".join(lines))


gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)
List()
Backtrace()
