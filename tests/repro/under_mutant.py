"""Runs a reproducer on a VMM that is right, made wrong from outside: under_mutant.py MUTANT ISSUE VMM."""

from __future__ import annotations

import sys

from harness.host import namespace
from harness.host.syscalls.mutants import mutant
from harness.repro.issues import ISSUES, gather, judge
from harness.scratch import Scratch
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import Testbed
from harness.vmm.find import find_vmms

namespace.prepare()
name, number, path = sys.argv[1:]
scratch = Scratch()
try:
    namespace.enter()
    (vmm,) = find_vmms([path])
    around = Surroundings(syscalls=mutant(name).policy(vmm.habits))
    with Testbed(vmm, scratch.folder(), around) as bed:
        answer, why = judge(ISSUES[number], gather(bed, ISSUES[number]))
finally:
    scratch.close()
print(why)
sys.exit(answer)
