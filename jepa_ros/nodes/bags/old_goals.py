"""Goals of bags from before an Embedding had its encoded_stamp, or a Goal its part_of, as goals of today. No ROS import
here."""

from rosbags.typesys import TypesysError, get_types_from_msg

from jepa_ros.data.messages import message_class, own_types, serialize

GOAL, _EMBEDDING = "jepa_ros/msg/Goal", "jepa_ros/msg/Embedding"
_SINCE_THEN = {GOAL: "part_of", _EMBEDDING: "encoded_stamp"}


def is_old_goal(msgtype: str, definition: str) -> bool:
    """Whether a bag's type, by its definition there, is a Goal that lacks some of these fields and nothing else."""
    if msgtype != GOAL or _EMBEDDING not in own_types():
        return False
    try:
        recorded = get_types_from_msg(definition, msgtype)
    except TypesysError:
        return False
    return all(_is_old(name, found) for name, found in recorded.items() if name in own_types())


def _is_old(name: str, recorded: tuple) -> bool:
    """Whether a type is today's, with or without what it has since then."""
    constants, fields = own_types()[name]
    then = constants, [field for field in fields if field[0] != _SINCE_THEN.get(name)]
    return recorded in (then, own_types()[name])


def renewed(goal) -> bytes:
    """CDR bytes of an old goal, deserialised by its bag's definitions. A goal's image is always encoded itself, so the
    stamp is that of the image; none was part of another."""
    old = goal.embedding
    kept = {name: getattr(old, name) for name in ("header", "encoder_id", "latent", "encode_ms")}
    stamp = getattr(old, _SINCE_THEN[_EMBEDDING], old.header.stamp)
    embedding = message_class(_EMBEDDING)(**kept, encoded_stamp=stamp)
    whole = message_class(GOAL)(
        header=goal.header,
        goal_id=goal.goal_id,
        part_of=getattr(goal, _SINCE_THEN[GOAL], ""),
        embedding=embedding,
    )
    return bytes(serialize(whole))
