# Recording of adam.pxi.


def adam(Level level, g, hyper, step, blocks, p, mean, square, largest, seen, moved):
    if largest is not None:
        return record_pass(level, level.runs.amsgrad, 8, g, hyper, step, p, mean, square, largest,
                           blocks, seen, moved)
    return record_pass(level, level.runs.adam, 8, g, hyper, step, p, mean, square, None, blocks,
                       seen, moved, True)


def adamax(Level level, g, hyper, step, blocks, p, mean, largest, seen, moved):
    return record_pass(level, level.runs.adamax, 8, g, hyper, step, p, mean, largest, None, blocks,
                       seen, moved)


def nadam(Level level, g, hyper, step, blocks, p, mean, square, seen, moved):
    return record_pass(level, level.runs.nadam, 8, g, hyper, step, p, mean, square, None, blocks,
                       seen, moved)


def radam(Level level, g, hyper, step, blocks, p, mean, square, seen, moved):
    return record_pass(level, level.runs.radam, 8, g, hyper, step, p, mean, square, None, blocks,
                       seen, moved)
