# A worker in a container: one job, then it ends, and its supervisor starts a fresh one.
#
#   install -D -t image/bin /usr/bin/builder-worker
#   docker build -f worker.Dockerfile -t builder-worker:debian-12 image
#   docker run --rm builder-worker:debian-12 debian-12 --remote 172.17.0.1:1234
#
# The program of the tarball runs in any image, that of a package in one of the same distribution or a newer one.
#
# What jobs need beside a bare system is for an image of yours that begins with this one: FROM builder-worker:debian-12.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY bin/builder-worker /usr/local/bin/builder-worker
# The folders of jobs. Everything that a job writes goes with the container.
WORKDIR /var/lib/builder-worker
ENV TMPDIR=/var/lib/builder-worker
# Asked to stop, a worker ends its job in good order, and the server gives it to another one.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/builder-worker"]
