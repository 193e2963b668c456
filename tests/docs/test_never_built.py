"""What is never built: nothing moves a camera (regulation art. 11(1)), takes a picture (26(2)), recognises people (27)."""

from __future__ import annotations

import ast
import re
import tomllib

from tests.docs.codes import ROOT

RECOGNISERS = (
    "face", "insightface", "dlib", "mediapipe", "easyocr", "tesseract", "openalpr", "ultralytics", "yolo", "torch",
    "tensorflow", "tflite", "onnxruntime", "deepface", "mtcnn", "openvino",
)  # fmt: skip
WEIGHTS = (".onnx", ".pt", ".pth", ".tflite", ".caffemodel", ".pb", ".h5", ".weights", ".safetensors")
CALLS = {
    "CascadeClassifier",
    "FaceDetectorYN",
    "FaceRecognizerSF",
    "HOGDescriptor",
    "dnn",
    "readNet",
    "TextRecognitionModel",
}
MOVES = re.compile(
    r"ptz/wsdl|create_ptz_service|ContinuousMove|AbsoluteMove|RelativeMove|GotoPreset|GotoHomePosition|SetHomePosition"
)
TAKES = re.compile(r"GetSnapshotUri|\b(imwrite|imencode|imwritemulti|VideoWriter|to_image)\b")


def sources():
    return [
        each for each in sorted((ROOT / "agent").rglob("*.py")) if "demo" not in each.relative_to(ROOT).parts
    ]


def test_nothing_moves_a_camera():
    assert MOVES.search("await camera.create_ptz_service()")
    assert not [str(each) for each in sources() if MOVES.search(each.read_text(encoding="utf-8"))]


def test_nothing_takes_or_writes_a_picture():
    """Regulation art. 26(2): beside what is recorded nothing is collected, no snapshot of a camera and none of a stream."""
    for line in ("media.GetSnapshotUri(token)", "cv2.imwrite(name, frame)", "frame.to_image()"):
        assert TAKES.search(line)
    assert not [str(each) for each in sources() if TAKES.search(each.read_text(encoding="utf-8"))]


def test_nothing_recognises_people():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = [*project["dependencies"]]
    for several in project["optional-dependencies"].values():
        packages += several
    assert not [each for each in packages if any(word in each.lower() for word in RECOGNISERS)]
    shipped = [*(ROOT / "agent").rglob("*"), *(ROOT / "systemd").rglob("*")]
    assert not [str(each) for each in shipped if each.suffix in WEIGHTS or "haarcascade" in each.name]
    for file in sources():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & CALLS, file
