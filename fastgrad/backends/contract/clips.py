"""Kernels of clips, and of noise on gradients."""

KERNELS = {
    # Block i is the elements blocks[i] to blocks[i+1], group s the blocks groups[s] to
    # groups[s+1]; its norm is norms[s,0] norms[s,1], two factors because the product may leave
    # float64. norms[s,0] is 0 where all elements are, and infinite where one is not finite.
    "group_norms": "x[P] blocks[B+1]:i8 groups[S+1]:i8 -> sums[B,2]:f8 norms[S,2]:f8",
    # Each finite group of g is multiplied so that its norm lies in [bounds[s,0], bounds[s,1]].
    # report: steps; steps that acted; of the last step the largest norm and the factor farthest
    # from 1; sum over steps of norm after / norm before, of all groups together; of all steps the
    # factor farthest from 1
    "rescale": "norms[S,2]:f8 bounds[S,2]:f8 blocks[B+1]:i8 groups[S+1]:i8 -> g[P]! report[6]:f8!",
    # bounds[s] = 0, factor max(norm of s, eps)
    "relative_bounds": "norms[S,2]:f8 factor:float eps:float -> bounds[S,2]:f8",
    # bounds = 0, percentile of the last W norms, this one included: arrived[count[0] % W] is the
    # next to be replaced, ordered has them by size. Only those that are finite and not 0 count.
    "percentile_bounds": "norms[1,2]:f8 percentile:float"
    " -> bounds[1,2]:f8 arrived[W]:f8! ordered[W]:f8! count[1]:i8!",
    # bounds = 0, ZClip's limit; moments: norms seen, their running mean and standard deviation
    "z_score_bounds": "norms[1,2]:f8 threshold:float alpha:float warmup:int min_std:float"
    " max_norm:float -> bounds[1,2]:f8 moments[3]:f8!",
    # every element into [-limit, limit]; the report is that of rescale for all blocks as one group
    "clip_value": "limit:float blocks[B+1]:i8 -> g[P]! sums[B,5]:f8 report[6]:f8!",
    # g += scale[i] N(0, eta / (1 + count[0])^gamma) in block i, hashed from seed, count[0], layer
    # and the element's place; report: steps, steps that acted, NaN, 1, steps, 1
    "gradient_noise": "eta:float gamma:float seed:int layer:int count[1]:i8 blocks[B+1]:i8"
    " scale[B]:f8 -> g[P]! report[6]:f8!",
}
