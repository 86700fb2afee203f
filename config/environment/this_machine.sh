# The ROS graph of this shell stays on this machine: source it in every shell of the graph (bash or zsh).
#   . config/environment/this_machine.sh
# A robot or camera on the network is not heard then; docs/security.md.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
unset ROS_STATIC_PEERS
FASTRTPS_DEFAULT_PROFILES_FILE=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")" && pwd)/this_machine.xml
FASTDDS_DEFAULT_PROFILES_FILE=$FASTRTPS_DEFAULT_PROFILES_FILE   # its name from Fast DDS 3 on
export FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_DEFAULT_PROFILES_FILE
