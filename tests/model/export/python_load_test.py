"""Runs exported archives in plain Python against golden cases: python_load_test.py ARCHIVES GOLDEN."""

import json
import pathlib
import struct
import sys

import torch

DTYPES = {
    "F32": torch.float32,
    "F64": torch.float64,
    "U8": torch.uint8,
    "I32": torch.int32,
    "I64": torch.int64,
    "BOOL": torch.bool,
}
LIMIT = 1e-5


def read_safetensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def arguments(description, case, tensors, image_size):
    def tensor(name):
        return tensors[f"case{case['index']}.{name}"].unsqueeze(0)

    images = []
    for slot in description["camera_order"]:
        name = case["images"][slot]
        if name == "zeros":
            picture = torch.zeros(image_size, image_size, 3, dtype=torch.uint8)
        else:
            picture = tensors[name]
        images.append((picture.float() / 255 * 2 - 1).permute(2, 0, 1).unsqueeze(0))
    valid = [[case["image_masks"][slot] for slot in description["camera_order"]]]
    return (
        images,
        torch.tensor(valid),
        tensor("tokens").long(),
        tensor("token_mask"),
        tensor("state"),
        tensor("noise"),
        case["num_steps"],
    )


def main():
    torch.set_num_threads(1)  # tests run beside each other
    archives, golden = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    count = 0
    worst = 0.0
    for archive in sorted(archives.glob("*.pt")):
        folder = golden / archive.stem
        if not folder.is_dir():
            continue  # left over from another golden folder
        module = torch.jit.load(str(archive)).float().eval()
        description = json.loads((folder / "cases.json").read_text())
        image_size = json.loads((folder / "geometry.json").read_text())["image_size"]
        tensors = read_safetensors(folder / "cases.safetensors")
        for case in description["cases"]:
            actions = module.sample_actions(*arguments(description, case, tensors, image_size))
            difference = (actions[0] - tensors[f"case{case['index']}.actions"]).abs().max().item()
            assert difference <= LIMIT, f"{archive.stem} case {case['index']}: {difference}"
            worst = max(worst, difference)
            count += 1
    assert count > 0, "no case ran"
    print(f"golden: {count} cases in Python, largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
