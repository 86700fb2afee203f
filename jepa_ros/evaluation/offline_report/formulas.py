"""How each figure is computed, as the report says it: (figure, formula, in words)."""

FORMULAS = (
    (
        "prediction error",
        "e(h) = mean over t of sqrt( mean over D of ( ẑ(t + h) − z(t + h) )² )",
        "h blocks ahead, open loop from the frames at t with the recorded actions; z is what the encoder saw then.",
    ),
    (
        "copy last frame",
        "the same with ẑ(t + h) = z(t)",
        "What one gets for free by saying that nothing moves.",
    ),
    (
        "shuffled actions",
        "the same with the recorded blocks permuted among the start frames (seeded)",
        "As good as the model means that it does not look at actions.",
    ),
    (
        "gain over copying, action gain",
        "1 − e(1) / e_copy(1),   1 − e(1) / e_shuffled(1)",
        "0: no gain; 1: no error.",
    ),
    (
        "planned against recorded",
        "mean |Δ_plan − Δ_rec| per joint;   share with equal sign;   Δ_plan · Δ_rec / ( |Δ_plan| |Δ_rec| )",
        "Δ: how far each joint goes in one block, the first one planned and the one recorded. Goal: what was seen one "
        "planning horizon later. Sign and cosine only where the joint, or the arm, moved at least 0.02 rad.",
    ),
    (
        "rank of the recorded block",
        "share of random blocks with lower energy than the recorded one",
        "0 is best, 0.5 is chance. Random blocks move every joint at a constant speed within its bounds.",
    ),
    (
        "goal distance",
        "d(t) = sqrt( mean over D of ( z(t) − z(last) )² );   Spearman correlation of d with time to go, and with the "
        "end effector's distance to its last place",
        "1: the distance orders all frames of an episode rightly.",
    ),
    (
        "energy landscape",
        "cost of ( block, rest, rest, … ) over a grid of two joints' displacements in the block",
        "The two joints that moved most in the recorded block; the others as recorded. Reduced as the planner does.",
    ),
    (
        "surprise",
        "s(t) = sqrt( mean over D of ( ẑ(t + 1) − z(t + 1) )² )",
        "One block ahead. Threshold: the 0.99 quantile of the same figure on clips held out of training.",
    ),
    (
        "effective rank",
        "exp( − Σ p log p ),   p: singular values of the centred latents, divided by their sum",
        "How many directions the latents really use.",
    ),
    (
        "out-of-distribution score",
        "sqrt( (z − μ)ᵀ Σ⁻¹ (z − μ) / D )",
        "Mahalanobis distance to the training latents; about 1 for frames like those.",
    ),
    (
        "intervals",
        "95 % bootstrap over episodes, over stretches of frames where there are fewer than 5 (seeded)",
        "Paired where two checkpoints are compared.",
    ),
)
