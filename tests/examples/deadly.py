"""Models that kill the process that runs, exports or makes them, as the text of a file of factories."""

DEADLY = '''
import os
import signal

import torch


class Deadly(torch.nn.Module):
    """Kills its process while it is exported by some strategies, or whenever it runs."""

    def __init__(self, when):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.when = when

    def forward(self, x):
        now = "htp" if torch.jit.is_tracing() else "fx" if torch.compiler.is_exporting() else "run"
        if now in self.when:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self.linear(x)


def made(*when):
    return Deadly(when), (torch.randn(2, 4),)


def fine():
    return made()


def by_fx():
    return made("fx")


def by_htp():
    return made("htp")


def by_both():
    return made("fx", "htp")


def always():
    return made("run")


def while_loading():
    os.kill(os.getpid(), signal.SIGKILL)


def leaves():
    os._exit(3)


def wrong():
    raise ValueError("no model today")
'''
