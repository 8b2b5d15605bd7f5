"""From where a program stands, up to the next switch and through it: at each instruction, is the caller known?"""

import gdb

gdb.execute("rbreak switch::switch", to_string=True)
gdb.execute("continue", to_string=True)
steps = known = 0
while "switch" in (gdb.newest_frame().name() or ""):
    frames, frame = [], gdb.newest_frame()
    while frame is not None:
        frames.append(frame.name())
        frame = frame.older()
    steps += 1
    known += "main" in frames
    if "main" not in frames:
        print(hex(gdb.newest_frame().pc()), frames)
    gdb.execute("stepi", to_string=True)
print(f"steps {steps}, known {known}")
