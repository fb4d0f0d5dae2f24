"""COCO mask AP of networks and of results files."""
