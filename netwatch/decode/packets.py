"""Joins the ways through a batch: the common path for most frames, the layers one by one for the others."""

import numpy as np

from netwatch.decode.bytesview import BytesView
from netwatch.decode.link import LINK_TYPES
from netwatch.decode.walk import walk
from netwatch.model.batch import PacketBatch
from netwatch.model.packets import Packets


def decode(batch: PacketBatch) -> Packets:
    view = BytesView(batch.data)
    first = LINK_TYPES.get(batch.link_type, 0)
    return walk(view, batch.offset, batch.caplen, batch.wirelen, first)
