"""Factories of small models as a user's file holds them, some of which one strategy or both cannot export."""

MODELS = """
import torch
from torch import nn


class Work(nn.Module):
    def __init__(self, work, width=4):
        super().__init__()
        self.first, self.second, self.work = nn.Linear(4, 8), nn.Linear(8, width), work

    def forward(self, x):
        return self.second(self.work(self.first(x)))


class Depends(nn.Module):
    def forward(self, x):
        return x.tanh() if x.sum() > 1e9 else x.sigmoid()


class Decomposed(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x) * torch.ones(8)[: min(x.shape)]


def made(work, width=4):
    torch.manual_seed(0)
    return Work(work, width).eval(), (torch.randn(3, 4),)


def plain():
    return made(nn.GELU())


def depends_on_values():
    return made(Depends())


def without_a_symbol():
    return made(nn.RMSNorm(8))


def impossible():
    return Decomposed(), (torch.randn(3, 4),)


def raises():
    return made(nn.Linear(5, 8))
"""
