"""Heads that exist in training only: what they teach, whom, and that the network itself knows nothing of them."""

import pytest
import torch

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling import Criterion, SparseInst, build_model, count_instances, fill_padding
from sparseinst.modeling.auxiliary import HEADS, Auxiliary, TrainingModel, auxiliary_names
from sparseinst.recipe import LossConfig, Recipe
from sparseinst.structures import Batch, Targets
from tiny import discs, tiny_config

CONFIG = ModelConfig.model_validate(tiny_config().model_dump() | {"postprocess": {"score": 0.0}})


def recipe(*heads: str, **settings: object) -> Recipe:
    teacher = {"teacher": "a name"} if "distillation" in heads else {}
    auxiliary = dict.fromkeys(heads, 1.0) | {"slots": 9, "matches": 2} | teacher | settings
    return Recipe.model_validate({"auxiliary": auxiliary})


def network(seed: int = 0, config: ModelConfig = CONFIG) -> SparseInst:
    torch.manual_seed(seed)
    return build_model(config).train()


def training_model(wanted: Recipe, *, seed: int = 0, teacher: SparseInst | None = None) -> TrainingModel:
    model = network(seed)
    if wanted.auxiliary.distillation and teacher is None:
        teacher = network(7)
    return TrainingModel(model, Auxiliary(wanted, model, teacher=teacher))


def batch(*counts: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (len(counts), 3, 64, 64), dtype=torch.uint8, generator=generator)
    targets = tuple(discs(count, seed=i) for i, count in enumerate(counts))
    return Batch(images, torch.full((len(counts), 2), 64), targets, tuple(range(len(counts))))


def losses(model: TrainingModel, given: Batch, *, iteration: int = 0) -> dict[str, torch.Tensor]:
    return model(given, count_instances(given.targets, "cpu"), iteration=iteration)[1]


def test_names_are_those_that_are_switched_on_in_a_fixed_order() -> None:
    assert auxiliary_names(Recipe().auxiliary) == ()
    assert auxiliary_names(recipe("denoising", "semantic").auxiliary) == ("loss_semantic", "loss_denoising")
    assert tuple(losses(training_model(recipe(*HEADS)), batch(2))) == auxiliary_names(recipe(*HEADS).auxiliary)


@pytest.mark.parametrize("heads", [(), HEADS], ids=str)
def test_the_network_computes_what_it_does_alone(heads: tuple[str, ...]) -> None:
    given = batch(2, 1)
    model, alone = training_model(recipe(*heads)), network()
    got, extra = model(given, count_instances(given.targets, "cpu"), iteration=0)
    expected = alone(fill_padding(given.images, given.resized_hw, alone.mean))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)  # another memory layout
    assert len(extra) == len(heads)
    assert model.network.state_dict().keys() == alone.state_dict().keys()


@pytest.mark.parametrize("counts", [(2, 3), (0, 2), (0, 0), (12, 1)], ids=str)
@pytest.mark.parametrize("head", HEADS)
def test_every_parameter_hears_from_its_head(head: str, counts: tuple[int, int]) -> None:
    model = training_model(recipe(head))
    (loss,) = losses(model, batch(*counts)).values()
    assert loss.isfinite()
    loss.backward()
    own = dict(model.auxiliary.named_parameters())
    assert bool(own) == (head in ("semantic", "one_to_many"))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in own.values())
    if sum(counts) == 0 and head == "denoising":
        assert loss == 0
        return
    assert all(p.grad.abs().sum() > 0 for p in own.values())
    assert all(p.grad.abs().sum() > 0 for p in model.network.encoder.parameters())


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("objectness", [True, False])
def test_heads_suit_every_decoder(groups: int, objectness: bool) -> None:
    torch.manual_seed(0)
    model = build_model(tiny_config(groups=groups, objectness=objectness, activation="softmax", convs=0))
    result = losses(TrainingModel(model, Auxiliary(recipe(*HEADS), model, teacher=network(7))), batch(2, 1))
    assert all(loss.isfinite() and loss > 0 for loss in result.values())


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_heads_go_with_every_lever_of_the_losses(kind: str) -> None:
    levers = {
        "class_target": kind, "guidance": 1.0, "guidance_warmup": 10, "duplicate": 1.0, "boundary": 1.0, "points": 50,
        "match_activation": 0.2,
    }  # fmt: skip
    model = training_model(Recipe.model_validate(recipe(*HEADS).model_dump() | {"loss": levers}))
    early, late = (losses(model, batch(2, 1), iteration=iteration) for iteration in (0, 10))
    assert all(loss.isfinite() and loss > 0 for loss in early.values())
    assert late["loss_one_to_many"] > early["loss_one_to_many"]  # the guidance of its activation maps has risen
    sum(late.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.auxiliary.parameters())


def test_many_targets_are_repeated_only_until_all_slots_are_busy() -> None:
    model, lengths = training_model(recipe("one_to_many", slots=9, matches=4)), []
    matcher = model.auxiliary.heads["one_to_many"].criterion.matcher
    assign = matcher.assign
    matcher.assign = lambda pairs: lengths.extend(pair.score.shape[1] for pair in pairs) or assign(pairs)
    losses(model, batch(1, 3, 5, 30))
    assert lengths == [4, 9, 10, 30]


@pytest.mark.parametrize("head", HEADS)
def test_what_a_head_asks_can_be_learnt(head: str) -> None:
    model, given = training_model(recipe(head)), batch(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    course = []
    for _ in range(25):
        torch.manual_seed(0)  # the same noise at every step
        (loss,) = losses(model, given).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(loss.item())
    assert course[-1] < 0.8 * course[0]


def test_bf16_gives_nearly_the_same_losses() -> None:
    results = []
    for enabled in (False, True):
        model = training_model(recipe(*HEADS))
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            results.append(losses(model, batch(2, 3)))
    for name, loss in results[0].items():
        assert results[1][name].dtype == torch.float32
        assert results[1][name].item() == pytest.approx(loss.item(), rel=0.05), name


def test_semantic_wants_the_union_of_a_class_and_nothing_else() -> None:
    model = training_model(recipe("semantic"))
    given, head = batch(3), model.auxiliary.heads["semantic"]
    labels, masks = given.targets[0].labels, given.targets[0].masks  # of classes 0, 1, 0
    # The head reads what it should say off two channels of the features.
    torch.nn.init.zeros_(head.conv.weight)
    head.conv.weight.data[[0, 1], [0, 1]] = 20.0
    torch.nn.init.constant_(head.conv.bias, -10.0)
    features = torch.zeros(1, 16, 16, 16)
    for name in (0, 1):
        union = masks[labels == name].amax(0)
        features[0, name] = torch.nn.functional.avg_pool2d(union[None], 2)[0]
    model.network.encode = lambda images: features
    right = losses(model, given)["loss_semantic"].item()
    features = features.flip(1).roll(2, 1)  # the classes exchanged
    wrong = losses(model, given)["loss_semantic"].item()
    assert right < 0.1 * wrong


def test_one_to_many_is_the_criterion_on_slots_of_its_own() -> None:
    model, given = training_model(recipe("one_to_many", slots=6, matches=1)), batch(2, 3)
    model.auxiliary.heads["one_to_many"].activation.load_state_dict(model.network.decoder.activation.state_dict())
    count = count_instances(given.targets, "cpu")
    predictions, extra = model(given, count, iteration=0)
    expected = sum(Criterion(LossConfig())(predictions, given.targets, count).values())
    torch.testing.assert_close(extra["loss_one_to_many"], expected)


def test_one_to_many_matches_several_slots_to_a_target() -> None:
    """A slot that is matched gets a gradient in its mask; the others do not."""
    for matches, slots, expected in ((1, 9, 3), (2, 9, 6), (4, 9, 9)):
        model = training_model(recipe("one_to_many", slots=slots, matches=matches))
        masks: list[torch.Tensor] = []
        kernel = model.network.decoder.kernel
        kernel.register_forward_hook(lambda *args, masks=masks: masks.append(args[2]) or args[2].retain_grad())
        losses(model, batch(3))["loss_one_to_many"].backward()
        taught = masks[-1].grad[0].abs().sum(1) > 0
        assert taught.sum() == expected


def test_denoising_does_not_ask_the_activation_maps_and_uses_no_more_targets_than_slots() -> None:
    model = training_model(recipe("denoising"))
    seen: list[int] = []
    model.network.decoder.kernel.register_forward_hook(lambda module, args, out: seen.append(out.shape[1]))
    losses(model, batch(30, 2))["loss_denoising"].backward()
    assert seen == [6, 6]  # the network's own slots, then as many noised targets
    assert model.network.decoder.activation.conv.weight.grad is None


def test_denoising_gathers_from_where_the_target_is() -> None:
    """The features of a slot are those under its target, so that far targets of two looks are told apart."""
    model = training_model(recipe("denoising"))
    masks = torch.zeros(2, 32, 32)
    masks[0, :14, :14], masks[1, 18:, 18:] = 1, 1
    given = batch(0)
    given = Batch(given.images, given.resized_hw, (Targets(torch.tensor([0, 1]), masks),), (0,))
    features = torch.zeros(1, 16, 16, 16)
    features[:, 0, :8, :8], features[:, 1, 8:, 8:] = 1, 1
    decoder = model.network.decoder
    decoder.branches = lambda _: (features, torch.zeros(1, 8, 16, 16))
    seen: list[torch.Tensor] = []
    decoder.mix.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    losses(model, given)
    slots = seen[-1][0].unflatten(1, (2, 16))  # (T, G, D)
    for target in (0, 1):
        assert (slots[target, :, target] > 0.7).all()
        assert (slots[target, :, 1 - target] < 0.1).all()


def test_a_student_that_is_its_teacher_is_taught_nothing_more() -> None:
    """Its cross-entropy is that of the teacher's doubt alone; another network's is higher."""
    given = batch(2, 2)
    teacher = network(7)
    same = training_model(recipe("distillation"), seed=7, teacher=teacher).eval()
    other = training_model(recipe("distillation"), seed=8, teacher=teacher).eval()
    assert losses(same, given)["loss_distillation"] < losses(other, given)["loss_distillation"]
    same.zero_grad()
    predictions, extra = same(given, torch.tensor(1.0), iteration=0)
    (gradient,) = torch.autograd.grad(extra["loss_distillation"], predictions.logits)
    assert gradient.abs().max() < 1e-4


def test_classes_of_the_teacher_meet_the_student_by_name() -> None:
    teacher = network(7)
    turned = network(7, ModelConfig.model_validate(CONFIG.model_dump() | {"classes": ("box", "disc")}))
    with torch.no_grad():
        for source, wanted in ((teacher, turned),):
            wanted.load_state_dict(source.state_dict())
            for parameter in (wanted.decoder.classifier.weight, wanted.decoder.classifier.bias):
                parameter.copy_(parameter.flip(0))
    values = [losses(training_model(recipe("distillation"), teacher=t), batch(2, 1)) for t in (teacher, turned)]
    torch.testing.assert_close(values[0], values[1])


def test_a_teacher_says_only_what_it_is_sure_of() -> None:
    doubtful = network(7, ModelConfig.model_validate(CONFIG.model_dump() | {"postprocess": {"score": 0.99}}))
    model = training_model(recipe("distillation"), teacher=doubtful)
    loss = losses(model, batch(2, 1))["loss_distillation"]
    assert loss == 0
    loss.backward()


def test_a_teacher_is_neither_trained_nor_saved_nor_changed() -> None:
    teacher = network(7)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    model = training_model(recipe("distillation"), teacher=teacher).train()
    first = losses(model, batch(2, 1))["loss_distillation"]
    first.backward()
    assert not model.auxiliary.state_dict()
    assert not list(model.auxiliary.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"classes": ("disc", "star")}, "lacking: \\['box'\\], foreign: \\['star'\\]"),
        ({"preprocess": {"short_px": 64, "long_px": 64, "frame_hw": (64, 64)}}, "augment.frame_hw to \\[64, 64\\]"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(change: dict[str, object], told: str) -> None:
    teacher = network(7, ModelConfig.model_validate(CONFIG.model_dump() | change))
    with pytest.raises(InputError, match=told):
        training_model(recipe("distillation"), teacher=teacher)


def test_a_teacher_of_one_frame_suits_training_in_that_frame() -> None:
    fixed = {"preprocess": {"short_px": 64, "long_px": 64, "frame_hw": (64, 64)}}
    teacher = network(7, ModelConfig.model_validate(CONFIG.model_dump() | fixed))
    wanted = Recipe.model_validate(recipe("distillation").model_dump() | {"augment": {"frame_hw": (64, 64)}})
    assert losses(training_model(wanted, teacher=teacher), batch(1))["loss_distillation"] > 0


def test_a_teacher_without_distillation_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="give both or neither"):
        training_model(recipe("semantic"), teacher=network(7))
    with pytest.raises(ValueError, match="give both or neither"):
        Auxiliary(recipe("distillation"), network())
