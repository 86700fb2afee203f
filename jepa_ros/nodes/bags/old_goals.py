"""Goals of bags from before an Embedding had its encoded_stamp, as goals of today. No ROS import here."""

from rosbags.typesys import TypesysError, get_types_from_msg

from jepa_ros.data.messages import message_class, own_types, serialize

GOAL, _EMBEDDING = "jepa_ros/msg/Goal", "jepa_ros/msg/Embedding"
_SINCE_THEN = "encoded_stamp"


def is_old_goal(msgtype: str, definition: str) -> bool:
    """Whether a bag's type, by its definition there, is a Goal that lacks this one field and nothing else."""
    if msgtype != GOAL or _EMBEDDING not in own_types():
        return False
    try:
        recorded = get_types_from_msg(definition, msgtype)
    except TypesysError:
        return False
    constants, fields = own_types()[_EMBEDDING]
    then = {**own_types(), _EMBEDDING: (constants, [f for f in fields if f[0] != _SINCE_THEN])}
    return all(then.get(name) == found for name, found in recorded.items() if name in then)


def renewed(goal) -> bytes:
    """CDR bytes of an old goal, deserialised by its bag's definitions. A goal's image is always encoded itself, so the
    stamp is that of the image."""
    old = goal.embedding
    kept = {name: getattr(old, name) for name in ("header", "encoder_id", "latent", "encode_ms")}
    embedding = message_class(_EMBEDDING)(**kept, encoded_stamp=old.header.stamp)
    return bytes(
        serialize(message_class(GOAL)(header=goal.header, goal_id=goal.goal_id, embedding=embedding))
    )
