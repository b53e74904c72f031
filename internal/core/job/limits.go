package job

// Limits are the quotas that a drover keeps. They are data, so that one place says what is
// allowed and the same code runs under either set. A limit of 0 is none.
type Limits struct {
	Name                 string
	ArrayMax             int32 // children of an array job
	Dependencies         int   // entries of dependsOn
	SubmitBytes          int   // a SubmitJob request
	OverrideBytes        int   // containerOverrides of a SubmitJob request
	DefinitionBytes      int   // a RegisterJobDefinition request
	TimeoutMin           int32 // attemptDurationSeconds
	Queues               int   // per account
	Environments         int   // per account
	EnvironmentsPerQueue int
	Policies             int   // scheduling policies per account
	StateLimitMin        int32 // maxTimeSeconds of jobStateTimeLimitActions
	StateLimitMax        int32
}

// DroverLimits are drover's own: wide, but bounded so that one request cannot exhaust the
// manager.
func DroverLimits() Limits {
	return Limits{
		Name:                 "drover",
		ArrayMax:             1_000_000,
		Dependencies:         10_000,
		SubmitBytes:          1 << 20,
		DefinitionBytes:      1 << 20,
		TimeoutMin:           1,
		Queues:               1000,
		Environments:         1000,
		EnvironmentsPerQueue: 32,
		Policies:             10_000,
		StateLimitMin:        1,
		StateLimitMax:        1 << 30,
	}
}

// AWSLimits are those of AWS Batch (AWS Batch User Guide, service quotas): what passes
// here passes there.
func AWSLimits() Limits {
	return Limits{
		Name:                 "aws",
		ArrayMax:             10_000,
		Dependencies:         20,
		SubmitBytes:          30 << 10,
		OverrideBytes:        8192,
		DefinitionBytes:      24 << 10,
		TimeoutMin:           60,
		Queues:               50,
		Environments:         50,
		EnvironmentsPerQueue: 3,
		Policies:             500,
		StateLimitMin:        600,
		StateLimitMax:        86_400,
	}
}

// LimitsNamed finds a set of limits by the word used for --limits.
func LimitsNamed(name string) (Limits, bool) {
	switch name {
	case "drover":
		return DroverLimits(), true
	case "aws":
		return AWSLimits(), true
	}
	return Limits{}, false
}
