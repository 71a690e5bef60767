# On Colab this installs mmtutor, and keeps torch and numpy as they are; elsewhere it does nothing.
import importlib.util

if importlib.util.find_spec("mmtutor") is None:
    import importlib.metadata
    import pathlib
    import subprocess
    import sys

    present = [p for p in ("numpy", "torch", "torchvision") if importlib.util.find_spec(p)]
    pins = "\n".join(f"{p}=={importlib.metadata.version(p)}" for p in present)
    pathlib.Path("keep.txt").write_text(pins)
    source = "mmtutor[compare,hub] @ git+https://github.com/mmtutor/mmtutor"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", "keep.txt"]
    subprocess.run([*pip, source], check=True)
    sets = []
    subprocess.run([sys.executable, "-m", "mmtutor", "fetch", *sets], check=True)
