package job

// Container is what a job asks of its container beside image, command, environment and
// resources. The zero value asks for nothing. Its JSON form is stored in specs and sent to
// workers; Version tells which form it is, and a worker refuses one that it does not know.
type Container struct {
	Version         int         `json:"v"`
	User            string      `json:"user,omitempty"` // "" = the image's
	Privileged      bool        `json:"privileged,omitempty"`
	ReadonlyRoot    bool        `json:"readonlyRoot,omitempty"`
	Init            bool        `json:"init,omitempty"`       // an init process reaps zombies and passes signals on
	SharedMemoryMiB int32       `json:"shmMiB,omitempty"`     // of /dev/shm; 0 = the engine's default
	MaxSwapMiB      *int32      `json:"maxSwapMiB,omitempty"` // nil = none
	Swappiness      *int32      `json:"swappiness,omitempty"`
	Tmpfs           []Tmpfs     `json:"tmpfs,omitempty"`
	Devices         []Device    `json:"devices,omitempty"`
	Ulimits         []Ulimit    `json:"ulimits,omitempty"`
	Mounts          []Mount     `json:"mounts,omitempty"`
	Secrets         []Reference `json:"secrets,omitempty"`        // variables whose values the worker looks up
	RegistrySecret  string      `json:"registrySecret,omitempty"` // where the registry's user and password are kept
	JobRole         string      `json:"jobRole,omitempty"`        // ARN of the role the job acts as
	ExecutionRole   string      `json:"executionRole,omitempty"`  // ARN of the role that fetches image and secrets
	LogDriver       string      `json:"logDriver,omitempty"`      // as asked for; "" = awslogs
	LogOptions      []Variable  `json:"logOptions,omitempty"`     // sorted by name
	EphemeralGiB    int32       `json:"ephemeralGiB,omitempty"`   // 0 = not asked for
	Architecture    string      `json:"architecture,omitempty"`   // X86_64 or ARM64; "" = the host's
	AssignPublicIP  bool        `json:"assignPublicIp,omitempty"` // Fargate's networkConfiguration
	ExecuteCommand  bool        `json:"executeCommand,omitempty"` // enableExecuteCommand
}

// ContainerVersion is written into each Container.
const ContainerVersion = 1

// Tmpfs is a file system in memory.
type Tmpfs struct {
	Path    string   `json:"path"`
	SizeMiB int32    `json:"sizeMiB"`
	Options []string `json:"options,omitempty"` // of mount(8)
}

// Device is a device of the host given to a container.
type Device struct {
	Host        string `json:"host"`
	Path        string `json:"path,omitempty"`        // in the container; "" = as on the host
	Permissions string `json:"permissions,omitempty"` // of "rwm"; "" = all
}

// Ulimit is a resource limit of a container's processes; -1 = none.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// VolumeKind is where a mount's files are.
type VolumeKind string

// The kinds of volume.
const (
	HostVolume    VolumeKind = "host"    // Source is a path of the host
	ScratchVolume VolumeKind = "scratch" // empty, and gone with the attempt
	EFSVolume     VolumeKind = "efs"     // Source is a file system id
	S3Volume      VolumeKind = "s3files" // Source is a file system ARN
)

// Mount is a volume with the place where a container sees it.
type Mount struct {
	Volume   string     `json:"volume"` // its name; mounts of one name share the volume
	Kind     VolumeKind `json:"kind"`
	Source   string     `json:"source,omitempty"`
	Path     string     `json:"path"` // in the container
	ReadOnly bool       `json:"readOnly,omitempty"`
}

// Reference is a variable whose value is kept elsewhere.
type Reference struct {
	Name string `json:"name"`
	From string `json:"from"` // ARN or name
}

// Role is the ARN of the role that the job runs with; "" if it names none.
func (c *Container) Role() string {
	if c == nil {
		return ""
	}
	return c.JobRole
}
