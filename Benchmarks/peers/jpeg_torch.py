# SPDX-License-Identifier: Apache-2.0
"""JPEG files to features: a DataLoader with two worker processes feeding PyTorch eager.

The workers live from round to round, so that starting them is not counted against PyTorch. The
peak memory is the main process's; the workers' comes on top.
"""

import torch

import contender
import networks
import photos

options = contender.options()
torch.set_num_threads(options.threads)
paths = photos.listing(options.photos)


class Photos(torch.utils.data.Dataset):
    def __len__(self):
        return len(paths)

    def __getitem__(self, index):
        return photos.preprocess(paths[index])


model = networks.load("efficientnet_lite0", options.work)
loader = torch.utils.data.DataLoader(
    Photos(), batch_size=options.batch, num_workers=2, persistent_workers=True)


def features():
    with torch.inference_mode():
        for batch in loader:
            yield model(batch.contiguous(memory_format=torch.channels_last))


def run_round():
    return sum(len(batch) for batch in features())


def output():
    return torch.cat(list(features())).numpy()


contender.serve(
    f"PyTorch {torch.__version__} eager, DataLoader with 2 workers", run_round, output)
