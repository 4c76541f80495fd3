"""What loads a model: training, drafting and evaluation, each in a job process of its own."""
