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
        "|a_plan − a_rec| mean per joint;   share with equal sign;   a_plan · a_rec / ( |a_plan| |a_rec| )",
        "The first planned block against the one recorded, goal: a later frame of the same episode.",
    ),
    (
        "rank of the recorded block",
        "share of random blocks with lower energy than the recorded one",
        "0 is best, 0.5 is chance.",
    ),
    (
        "goal distance",
        "d(t) = | z(t) − z(last) |;   Spearman correlation of d with time to go, and with the end effector's distance",
        "1: the distance orders all frames of an episode rightly.",
    ),
    (
        "energy landscape",
        "cost of a block over a grid of two joints' actions, the others as recorded",
        "The two joints that moved most.",
    ),
    (
        "surprise",
        "s(t) = sqrt( mean over D of ( ẑ(t + 1) − z(t + 1) )² )",
        "One block ahead. Threshold: a quantile of the same figure on frames held out of training.",
    ),
    (
        "effective rank",
        "exp( − Σ p log p ),   p: eigenvalues of the latents' covariance, summing to 1",
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
