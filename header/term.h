/* Memory for the handle. */
struct dill_term_storage {
    char _[88];
};

@declarations@
