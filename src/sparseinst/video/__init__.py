"""Video: from a source to files, as a row of stages that run at once."""

from sparseinst.video.follow import track
from sparseinst.video.jsonl import write_jsonl
from sparseinst.video.outcome import VideoResult, VideoSummary
from sparseinst.video.prediction import predict_video
from sparseinst.video.tracking import Tracker
from sparseinst.video.writer import write_video

__all__ = ["Tracker", "VideoResult", "VideoSummary", "predict_video", "track", "write_jsonl", "write_video"]
