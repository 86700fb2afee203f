"""Ways in which a scene may look different: each (spec, rng, amount) changes a mujoco.MjSpec, and its look alone.

rng draws what the change is like, amount says how far it goes. Those that draw colours take ``mix``, which
draws one: ``held_out.training_mix`` or ``held_out.held_out_mix``.
"""
