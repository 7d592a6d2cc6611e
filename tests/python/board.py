"""Reads event files with TensorBoard's own code, and prints what it finds as JSON.

board.py read FOLDER               scalars, texts, images and histograms, as EventAccumulator has them
board.py serve FOLDER LAST         scalars, as TensorBoard's server has them with either loader, once `loss/total` has step LAST
board.py damaged FILE              for each byte of the file, whether the reader reports it if it is changed
"""

import base64
import json
import sys
import time
import urllib.parse
import urllib.request


def read(folder):
    from tensorboard.backend.event_processing import event_accumulator

    everything = {kind: 0 for kind in ("scalars", "images", "histograms", "tensors", "compressedHistograms", "audio")}
    found = event_accumulator.EventAccumulator(folder, size_guidance=everything)
    found.Reload()
    tags = found.Tags()
    images = {tag: [(e.step, e.width, e.height, base64.b64encode(e.encoded_image_string).decode()) for e in found.Images(tag)]
              for tag in tags["images"]}
    histograms = {}
    for tag in tags["histograms"]:
        events = [(e.step, e.histogram_value) for e in found.Histograms(tag)]
        histograms[tag] = [(step, v.min, v.max, v.num, v.sum, v.sum_squares, list(v.bucket_limit), list(v.bucket))
                           for step, v in events]
    texts = {tag: [(e.step, e.tensor_proto.string_val[0].decode()) for e in found.Tensors(tag)] for tag in tags["tensors"]}
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in tags["scalars"]}
    return {"scalars": scalars, "texts": texts, "images": images, "histograms": histograms}


def served(folder, last, is_fast):
    """Returns the scalars of a server of TensorBoard with the fast or the slow loader, by tag."""
    from tensorboard import program
    from tensorboard.plugins.core import core_plugin
    from tensorboard.plugins.scalar import scalars_plugin

    server = program.TensorBoard(plugins=[core_plugin.CorePluginLoader(), scalars_plugin.ScalarsPlugin])
    options = ["--host", "127.0.0.1", "--port", "0", "--samples_per_plugin", "scalars=1000000"]
    server.configure(argv=[None, "--logdir", folder, "--load_fast", "true" if is_fast else "false", "--reload_interval", "1", *options])
    url = server.launch()

    def ask(what, **query):
        return json.load(urllib.request.urlopen(f"{url}data/plugin/scalars/{what}?{urllib.parse.urlencode(query)}"))

    def scalars(tag):
        return [(step, value) for _, step, value in ask("scalars", run=".", tag=tag)]

    deadline = time.monotonic() + 120
    while True:
        tags = ask("tags").get(".", {})
        if "loss/total" in tags and scalars("loss/total")[-1][0] >= last:
            return {tag: scalars(tag) for tag in tags}
        if time.monotonic() > deadline:
            sys.exit(f"the server does not find step {last} in two minutes: {tags}")
        time.sleep(0.2)


def events(path):
    """Reads all records of a file, and returns how many there are and whether the last read reported damage."""
    from tensorboard.compat.tensorflow_stub import errors, pywrap_tensorflow

    reader, count = pywrap_tensorflow.PyRecordReader_New(path), 0
    while True:
        try:
            reader.GetNext()
        except errors.OutOfRangeError:
            return count, False
        except errors.DataLossError:
            return count, True
        count += 1


def damaged(path):
    whole = open(path, "rb").read()
    changed = path + ".changed"
    reported = []
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << (at % 8)
        open(changed, "wb").write(data)
        reported.append(events(changed)[1])
    return {"events": events(path), "reported": reported}


if __name__ == "__main__":
    command, path, *rest = sys.argv[1:]
    if command == "serve":
        result = {name: served(path, int(rest[0]), name == "fast") for name in ("fast", "slow")}
    else:
        result = {"read": read, "damaged": damaged}[command](path)
    print(json.dumps(result))
    # The server's threads do not end by themselves.
    sys.stdout.flush()
    import os

    os._exit(0)
