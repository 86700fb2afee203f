"""What the planner does with a goal: look, plan, act, judge, until it is reached."""
