"""What a step frees is there for the next one."""

import os
import sys

import pytest
import torch

from automl_opt.training.memory import OTHERS, keep_freed

PAGES = 8 * 2**22 // 4096


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.skipif(any(n.startswith(OTHERS) for n in os.environ), reason="another allocator")
def test_memory_that_was_freed_is_not_asked_of_the_system_again():
    import resource

    def faults_of_a_step():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        tensors = [torch.ones(2**20) for _ in range(8)]
        del tensors
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_freed()

    assert min(faults_of_a_step() for _ in range(4)) < PAGES / 10
