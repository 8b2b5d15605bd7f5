struct sockaddr;

/* An IP address and a port. */
struct dill_ipaddr {
    char _[32];
};

@declarations@
