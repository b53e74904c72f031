package batch_test

import (
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func fullEks(name string) *batch.RegisterJobDefinitionInput {
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: "container",
		EksProperties: &types.EksProperties{PodProperties: &types.EksPodProperties{
			ServiceAccountName: aws.String("worker"), HostNetwork: aws.Bool(false), DnsPolicy: aws.String("ClusterFirst"), ShareProcessNamespace: aws.Bool(true),
			ImagePullSecrets: []types.ImagePullSecret{{Name: aws.String("registry")}},
			Metadata:         &types.EksMetadata{Labels: map[string]string{"app.example.com/part": "x"}, Annotations: map[string]string{"a": "b"}, Namespace: aws.String("jobs")},
			Volumes: []types.EksVolume{
				{Name: aws.String("data"), HostPath: &types.EksHostPath{Path: aws.String("/data")}},
				{Name: aws.String("tmp"), EmptyDir: &types.EksEmptyDir{Medium: aws.String("Memory"), SizeLimit: aws.String("512Mi")}},
				{Name: aws.String("key"), Secret: &types.EksSecret{SecretName: aws.String("key"), Optional: aws.Bool(true)}},
				{Name: aws.String("claim"), PersistentVolumeClaim: &types.EksPersistentVolumeClaim{ClaimName: aws.String("c"), ReadOnly: aws.Bool(true)}},
			},
			InitContainers: []types.EksContainer{{Name: aws.String("init"), Image: aws.String("busybox:1")}},
			Containers: []types.EksContainer{{
				Image: aws.String("busybox:1"), ImagePullPolicy: aws.String("IfNotPresent"), Command: []string{"sleep"}, Args: []string{"60"},
				Env: []types.EksContainerEnvironmentVariable{{Name: aws.String("A"), Value: aws.String("1")}},
				Resources: &types.EksContainerResourceRequirements{
					Limits: map[string]string{"cpu": "1.25", "memory": "1024Mi", "nvidia.com/gpu": "1"}, Requests: map[string]string{"cpu": "0.5", "memory": "1024Mi"},
				},
				SecurityContext: &types.EksContainerSecurityContext{RunAsUser: aws.Int64(1000), RunAsNonRoot: aws.Bool(true), Privileged: aws.Bool(false)},
				VolumeMounts:    []types.EksContainerVolumeMount{{Name: aws.String("tmp"), MountPath: aws.String("/tmp"), ReadOnly: aws.Bool(false), SubPath: aws.String("x")}},
			}},
		}},
	}
}

func TestEksDefinitionIsEchoedAsItCame(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	out := w.register(t, fullEks("e"))
	got, err := w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{*out.JobDefinitionArn}})
	d := must(t, got, err).JobDefinitions[0]
	diff(t, "eksProperties", d.EksProperties, fullEks("e").EksProperties)
	if d.ContainerProperties != nil || d.ContainerOrchestrationType != types.OrchestrationTypeEks {
		t.Errorf("%+v", d)
	}
}

// A definition for Kubernetes is no job of an ECS queue, and what its submission says is
// checked before that is said.
func TestEksJobsNeedAnEksQueue(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, fullEks("e"))
	over := func(o types.EksContainerOverride) *types.EksPropertiesOverride {
		return &types.EksPropertiesOverride{PodProperties: &types.EksPodPropertiesOverride{Containers: []types.EksContainerOverride{o}}}
	}
	for name, c := range map[string]struct {
		in   batch.SubmitJobInput
		says string
	}{
		"queue":      {batch.SubmitJobInput{}, "job queue default the orchestration type ECS"},
		"override":   {batch.SubmitJobInput{EksPropertiesOverride: over(types.EksContainerOverride{Args: []string{"1"}})}, "orchestration type"},
		"containers": {batch.SubmitJobInput{ContainerOverrides: &types.ContainerOverrides{}}, "Container overrides or node overrides should not be set for Batch on EKS jobs."},
		"stranger":   {batch.SubmitJobInput{EksPropertiesOverride: over(types.EksContainerOverride{Name: aws.String("x")})}, "does not have"},
		"variable":   {batch.SubmitJobInput{EksPropertiesOverride: over(types.EksContainerOverride{Env: []types.EksContainerEnvironmentVariable{{Name: aws.String("AWS_BATCH_X")}}})}, "reserved"},
		"memory":     {batch.SubmitJobInput{EksPropertiesOverride: over(types.EksContainerOverride{Resources: &types.EksContainerResourceRequirements{Limits: map[string]string{"memory": "1Gi"}}})}, "suffix Mi"},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.JobName, c.in.JobQueue, c.in.JobDefinition = aws.String("j"), aws.String("default"), aws.String("e")
			_, err := w.SubmitJob(t.Context(), &c.in)
			refused(t, err, c.says)
		})
	}
}

func TestBadEks(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	for name, c := range map[string]struct {
		spoil func(in *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, c *types.EksContainer)
		says  string
	}{
		"pod": {func(in *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, _ *types.EksContainer) {
			in.EksProperties.PodProperties = nil
		}, "podProperties"},
		"none": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Containers = nil
		}, "1 to 10 containers"},
		"propagate": {func(in *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, _ *types.EksContainer) {
			in.PropagateTags = aws.Bool(true)
		}, "propagateTags must not be specified"},
		"platform": {func(in *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, _ *types.EksContainer) {
			in.PlatformCapabilities = []types.PlatformCapability{"EC2"}
		}, "platformCapabilities must not be specified"},
		"dns": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.DnsPolicy = aws.String("None")
		}, "dnsPolicy"},
		"pull": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.ImagePullPolicy = aws.String("Sometimes")
		}, "imagePullPolicy"},
		"same name": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Name = aws.String("init")
		}, "unique name"},
		"variable": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Env[0].Name = aws.String("AWS_BATCH")
		}, "reserved"},
		"cpu": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Resources.Limits["cpu"] = "0.3"
		}, "multiple of 0.25"},
		"more cpu": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Resources.Requests["cpu"] = "2"
		}, "at least as large"},
		"memory": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Resources.Requests["memory"] = "512Mi"
		}, "must be equal"},
		"little": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Resources.Limits["memory"] = "3Mi"
		}, "at least 4"},
		"resource": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.Resources.Limits["disk"] = "1"
		}, "the supported ones are"},
		"mount": {func(_ *batch.RegisterJobDefinitionInput, _ *types.EksPodProperties, c *types.EksContainer) {
			c.VolumeMounts[0].Name = aws.String("x")
		}, "which the pod does not have"},
		"two kinds": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Volumes[0].EmptyDir = &types.EksEmptyDir{}
		}, "exactly one of hostPath"},
		"size": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Volumes[1].EmptyDir.SizeLimit = aws.String("much")
		}, "quantity"},
		"medium": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Volumes[1].EmptyDir.Medium = aws.String("Disk")
		}, "medium"},
		"namespace": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Metadata.Namespace = aws.String("kube-system")
		}, "namespace"},
		"label": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Metadata.Labels["-x"] = ""
		}, "label"},
		"annotation": {func(_ *batch.RegisterJobDefinitionInput, p *types.EksPodProperties, _ *types.EksContainer) {
			p.Metadata.Annotations["a/b/c"] = ""
		}, "annotation"},
	} {
		t.Run(name, func(t *testing.T) {
			in := fullEks("e")
			p := in.EksProperties.PodProperties
			c.spoil(in, p, &p.Containers[0])
			_, err := w.RegisterJobDefinition(t.Context(), in)
			refused(t, err, c.says)
		})
	}
}

func TestFargate(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := func(vcpu, memory string) *batch.RegisterJobDefinitionInput {
		return &batch.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String("f"), Type: "container", PlatformCapabilities: []types.PlatformCapability{"FARGATE"},
			ContainerProperties: &types.ContainerProperties{
				Image: aws.String("i"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/e"), ResourceRequirements: resources(vcpu, memory),
				NetworkConfiguration: &types.NetworkConfiguration{AssignPublicIp: "ENABLED"}, FargatePlatformConfiguration: &types.FargatePlatformConfiguration{PlatformVersion: aws.String("1.4.0")},
			},
		}
	}
	for _, good := range [][2]string{{"0.25", "512"}, {"0.25", "2048"}, {"0.5", "3072"}, {"1", "8192"}, {"4", "30720"}, {"8", "20480"}, {"16", "122880"}} {
		w.register(t, in(good[0], good[1]))
	}
	for _, bad := range [][2]string{{"0.25", "1536"}, {"0.3", "512"}, {"1", "1024"}, {"8", "17408"}, {"32", "122880"}} {
		_, err := w.RegisterJobDefinition(t.Context(), in(bad[0], bad[1]))
		refused(t, err, "Error executing request, Exception : Fargate resource requirements (")
	}
	for name, c := range map[string]struct {
		spoil func(c *types.ContainerProperties)
		says  string
	}{
		"role":       {func(c *types.ContainerProperties) { c.ExecutionRoleArn = nil }, "executionRoleArn is required for Fargate"},
		"privileged": {func(c *types.ContainerProperties) { c.Privileged = aws.Bool(true) }, "privileged is not applicable for Fargate"},
		"gpu": {func(c *types.ContainerProperties) {
			c.ResourceRequirements = append(c.ResourceRequirements, types.ResourceRequirement{Type: "GPU", Value: aws.String("1")})
		}, "GPU is not applicable"},
		"devices": {func(c *types.ContainerProperties) {
			c.LinuxParameters = &types.LinuxParameters{Devices: []types.Device{{HostPath: aws.String("/dev/x")}}}
		}, "devices is not applicable"},
		"ulimit": {func(c *types.ContainerProperties) {
			c.Ulimits = []types.Ulimit{{Name: aws.String("nproc"), SoftLimit: aws.Int32(1), HardLimit: aws.Int32(1)}}
		}, "other than nofile"},
		"volume": {func(c *types.ContainerProperties) {
			c.Volumes = []types.Volume{{Name: aws.String("v"), Host: &types.Host{SourcePath: aws.String("/v")}}}
		}, "host volumes is not applicable"},
		"log": {func(c *types.ContainerProperties) { c.LogConfiguration = &types.LogConfiguration{LogDriver: "syslog"} }, "logDriver syslog is not applicable"},
		"version": {func(c *types.ContainerProperties) {
			c.FargatePlatformConfiguration.PlatformVersion = aws.String("newest")
		}, "LATEST or a version"},
		"process": {func(c *types.ContainerProperties) { c.Image = aws.String("host") }, "image host is not applicable"},
	} {
		t.Run(name, func(t *testing.T) {
			d := in("1", "2048")
			c.spoil(d.ContainerProperties)
			_, err := w.RegisterJobDefinition(t.Context(), d)
			refused(t, err, c.says)
		})
	}
	_, err := w.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("f"),
		ContainerOverrides: &types.ContainerOverrides{ResourceRequirements: resources("1", "3000")}})
	refused(t, err, "Fargate resource requirements (1.00 vCPU, 3000 MiB) not valid")
}
