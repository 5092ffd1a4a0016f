# A whole farm in one container: server, repository and workers in one process, to try builder, or for one machine that
# trusts its jobs. From the folder of an unpacked tarball of builder, or one that has those programs in `bin`:
#
#   docker build -f share/builder-worker/containers/all-in-one.Dockerfile -t builder .
#   docker run --detach --name builder --volume builder:/var/lib/builder \
#       --publish 127.0.0.1:1234:1234 --publish 127.0.0.1:3000:3000 builder
#
# Then builder-client -r 127.0.0.1:1234 schedules jobs, and http://127.0.0.1:3000 shows what they made. Neither port asks
# who is there: publish them where only your own people come.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY bin/builder bin/builder-client bin/builder-inspect bin/builder-db /usr/local/bin/
VOLUME /var/lib/builder
EXPOSE 1234 3000
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/builder"]
CMD ["up", "--dir", "/var/lib/builder", "--listen", "0.0.0.0:1234", "--web", "0.0.0.0:3000"]
