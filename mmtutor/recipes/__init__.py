"""Whole experiments: each module has a `Config` with presets, and `run(config) -> Result`.

`RECIPES` names them for the command line.
"""

RECIPES = {
    "audio_classification": "mmtutor.recipes.encoders.audio",
    "few_labels": "mmtutor.recipes.learning.few_labels",
    "frameworks": "mmtutor.recipes.deployment.frameworks",
    "fusion_bakeoff": "mmtutor.recipes.fusion.bakeoff",
    "fusion_halves": "mmtutor.recipes.fusion.halves",
    "gpt": "mmtutor.recipes.language.gpt",
    "gpt_changes": "mmtutor.recipes.language.changes",
    "gpt_scaling": "mmtutor.recipes.language.scaling",
    "gpt_speed_run": "mmtutor.recipes.language.speed",
    "image_classification": "mmtutor.recipes.encoders.images",
    "instruct": "mmtutor.recipes.language.instruct",
    "joint_learning": "mmtutor.recipes.joint.tasks",
    "loss_comparison": "mmtutor.recipes.retrieval.losses",
    "modality_competition": "mmtutor.recipes.joint.competition",
    "pictures": "mmtutor.recipes.language.pictures",
    "pose_estimation": "mmtutor.recipes.encoders.pose",
    "preferences": "mmtutor.recipes.language.preferences",
    "retrieval": "mmtutor.recipes.retrieval.photographs",
    "retrieval_hub": "mmtutor.recipes.retrieval.hub",
    "retrieval_shapes": "mmtutor.recipes.retrieval.shapes",
    "robustness": "mmtutor.recipes.robustness.defences",
    "scorecard": "mmtutor.recipes.scorecard.suite",
    "sellers": "mmtutor.recipes.robustness.group_bias",
    "text_classification": "mmtutor.recipes.encoders.text",
    "three_modalities": "mmtutor.recipes.fusion.three_modalities",
    "video_classification": "mmtutor.recipes.encoders.video",
    "vlm": "mmtutor.recipes.language.vlm",
    "vlm_hub": "mmtutor.recipes.language.hub",
    "vlm_ways": "mmtutor.recipes.language.ways",
    "vqa": "mmtutor.recipes.vqa.classic",
    "vqa_hub": "mmtutor.recipes.vqa.hub",
    "vqa_shapes": "mmtutor.recipes.vqa.grounded",
}
