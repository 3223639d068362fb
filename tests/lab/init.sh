# A host's services, until its power button is pressed (a word in /run/initctl).
/usr/sbin/sshd -D -e -o "SetEnv=PATH=$PATH" >> /var/log/sshd.log 2>&1 &
while [ ! -e /run/lab-stopping ]; do
    dockerd --host unix:///var/run/docker.sock --storage-driver overlay2 --log-level warn \
        --exec-opt native.cgroupdriver=cgroupfs >> /var/log/dockerd.log 2>&1
    sleep 1
done &
exec 3<> /run/initctl
read -r word <&3
: > /run/lab-stopping
pkill -TERM -x dockerd
for turn in $(seq 900); do
    pgrep -x dockerd > /dev/null || break
    sleep 0.1
done
