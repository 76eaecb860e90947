"""A serving simulator whose joules are known: requests, a batching engine, power, meters, and the Shapley reference.

workload    streams of requests, from a seed
engine      continuous batching: budget, chunked prefill, prefix cache, preemption, drafts, padding
costs       what a step costs in truth: affine, roofline
serve       requests through engines on devices, in pipelines and pools
steps       what was run, and its compression to stints
power       1 kHz power of each device
meters      what a collector would have read of it
shapley     each request's joules by the Shapley value of each step's true cost
recording   the rows that a run file would hold
scenarios   one situation each, with the joules that its answer must have

It shares no code with `greengen.accounting`, and tells it no coefficients.
"""
