/* Work that takes long is done in other threads, and the coroutine that waits for it is woken by an eventfd: here
   each message is a number, and the answer is its largest prime factor. Meanwhile everybody else is served.

   usage: pool PORT */

#include "common.h"

#include <libdillext.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

struct job {
    struct job *next;
    unsigned long long number, answer;
    int done; /* An eventfd. */
};

/* What waits for a thread; guarded by the mutex, which is held for microseconds. */
static struct job *first, **last = &first;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static unsigned long long largest_factor(unsigned long long number) {
    for (unsigned long long factor = 2; factor <= number / factor; factor++)
        while (number % factor == 0 && number != factor)
            number /= factor;
    return number;
}

static void *work(void *unused) {
    while (1) {
        pthread_mutex_lock(&mutex);
        while (!first)
            pthread_cond_wait(&more, &mutex);
        struct job *job = first;
        if (!(first = job->next))
            last = &first;
        pthread_mutex_unlock(&mutex);
        job->answer = largest_factor(job->number);
        eventfd_write(job->done, 1); /* From here on the job is not this thread's. */
    }
    return unused;
}

/* Waits until a thread has done it, whatever happens: the job lies on this coroutine's stack. */
static void run(struct job *job) {
    eventfd_t count;
    job->next = NULL;
    pthread_mutex_lock(&mutex);
    *last = job;
    last = &job->next;
    pthread_cond_signal(&more);
    pthread_mutex_unlock(&mutex);
    fdin(job->done, -1); /* If the server stops, this fails at once, and the next line waits. */
    eventfd_read(job->done, &count);
}

static coroutine void serve(int tcp, void *context) {
    (void)context;
    char text[32];
    ssize_t len;
    struct job job = {.done = eventfd(0, EFD_CLOEXEC)};
    int ws = ws_attach_server_opts(tcp, NULL, now() + 10000);
    if (ws >= 0 && job.done >= 0) {
        while ((len = ws_recv(ws, NULL, text, sizeof text - 1, -1)) >= 0) {
            text[len] = 0;
            job.number = strtoull(text, NULL, 10);
            run(&job);
            int size = snprintf(text, sizeof text, "%llu", job.answer);
            if (ws_send(ws, WS_TEXT, text, (size_t)size, now() + 10000) < 0)
                break;
        }
        ws_close(ws, 1000, NULL, 0, now() + 10000);
    } else if (ws >= 0) {
        hclose(ws);
    }
    if (job.done >= 0) {
        fdclean(job.done);
        close(job.done);
    }
}

int main(int argc, char *argv[]) {
    pthread_t thread;
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            fail("thread");
    serve_clients(listen_on(argv[1]), serve, NULL);
    return 0;
}
