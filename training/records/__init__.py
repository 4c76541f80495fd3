"""What a job is asked for, given and leaves behind: one frozen type each, read and written here.

A job has three JSON objects. Its *spec* says what was asked for (`Job.spec`, in the database), its
*task* what its process needs (`spec.json` in its folder), its *result* how it ended and what it
measured (`result.json`, then `Job.result`). Two more last longer: an adapter's *card* and the
*summary* of a comparison. `specs.train(job)`, `tasks.read(TrainTask, directory)`,
`results.train(job)`, `cards.of(adapter)`, `cards.summary(evaluation)` and their like read them;
`record.written` writes them.

A key that is not known is ignored, a missing one has its default, so that what older versions wrote
opens. A field whose value is its default is not written, unless the default is `always(...)`: then
the key is there all the same. A new key is a field `name: Kind | None = None`.
"""
