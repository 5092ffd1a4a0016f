host=${PKG_ROOTDIR:-}
host=${host%/}
for sample in @SAMPLES@; do
    settings=$host${sample%.sample}
    if [ ! -e "$settings" ]; then
        cp -p "$host$sample" "$settings"
    fi
done
