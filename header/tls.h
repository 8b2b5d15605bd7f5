/* Memory for a connection. */
struct dill_tls_storage {
    char _[72];
};

@declarations@

/* DTLS has never been implemented: whoever uses it does not get past the linker. */
struct dill_dtls_storage {
    char _[88];
};

int dill_dtls_attach_client(int s, int64_t deadline);
int dill_dtls_attach_client_mem(int s, struct dill_dtls_storage *mem, int64_t deadline);
int dill_dtls_attach_server(int s, const char *cert, const char *pkey, int64_t deadline);
int dill_dtls_attach_server_mem(int s, const char *cert, const char *pkey, struct dill_dtls_storage *mem,
                                int64_t deadline);
int dill_dtls_done(int s, int64_t deadline);
int dill_dtls_detach(int s, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define dtls_attach_client dill_dtls_attach_client
#define dtls_attach_client_mem dill_dtls_attach_client_mem
#define dtls_attach_server dill_dtls_attach_server
#define dtls_attach_server_mem dill_dtls_attach_server_mem
#define dtls_done dill_dtls_done
#define dtls_detach dill_dtls_detach
#endif
