/* Memory for a channel. */
struct dill_chstorage {
    char _[144];
};

@declarations@
