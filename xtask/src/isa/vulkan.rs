//! RADV's null device: compiles a compute shader and says what became of it. Nothing is ever executed, no GPU is needed.

use std::ffi::{CStr, c_char};

use anyhow::{Context, Result, anyhow, bail};
use ash::{Device, Entry, Instance, khr, vk};

use super::worker::{Answer, Greeting, Request};

/// A device that can say what it makes of a pipeline.
pub(super) struct Compiler {
    device: Device,
    inspect: khr::pipeline_executable_properties::Device,
    /// What the driver says about itself.
    pub(super) greeting: Greeting,
    // Before the loader's library is closed, the instance must be gone; the process ends before either.
    instance: Instance,
    _entry: Entry,
}

/// Text of a fixed array that Vulkan ends with a zero.
fn text(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().take_while(|&&c| c != 0).map(|&c| c.to_ne_bytes()[0]).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Compiler {
    /// Opens the first device that the environment shows.
    ///
    /// # Errors
    /// If there is no loader, no device, or the device cannot say what it compiles.
    pub(super) fn open() -> Result<Self> {
        // SAFETY: the loader's library is loaded once, in a process that does nothing else.
        let entry = unsafe { Entry::load() }.context("loading the Vulkan loader")?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: `info` and what it points to live until the call returns.
        let instance = unsafe { entry.create_instance(&info, None) }.context("creating a Vulkan instance")?;
        // SAFETY: the instance is alive.
        let devices = unsafe { instance.enumerate_physical_devices() }.context("looking for devices")?;
        let physical = *devices.first().ok_or_else(|| anyhow!("the driver shows no device"))?;
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
        // SAFETY: `properties` is a chain of structures on this stack frame.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let device_name = text(&properties.properties.device_name);
        let (device, matrix) = open_device(&instance, physical)?;
        let greeting = Greeting { device: device_name, driver: text(&driver.driver_info), matrix };
        let inspect = khr::pipeline_executable_properties::Device::new(&instance, &device);
        Ok(Self { device, inspect, greeting, instance, _entry: entry })
    }

    /// Compiles one shader.
    ///
    /// # Errors
    /// If the driver refuses it.
    pub(super) fn compile(&self, request: &Request) -> Result<Answer> {
        let code = vk::ShaderModuleCreateInfo::default().code(&request.spirv);
        let bindings: Vec<_> = request.bindings.iter().map(|b| layout_binding(b.at, b.uniform)).collect();
        let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the device is alive; what the structures point to lives until the calls return; the handles are this device's.
        unsafe {
            let module = self.device.create_shader_module(&code, None).context("creating a shader module")?;
            let sets = [self.device.create_descriptor_set_layout(&set, None).context("creating a set layout")?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&layout, None).context("creating a pipeline layout")?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let info = vk::ComputePipelineCreateInfo::default().layout(layout).stage(stage).flags(
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
            );
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = made.map_err(|(_, e)| e).context("compiling")?[0];
            let answer = self.read(pipeline);
            self.device.destroy_pipeline(pipeline, None);
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(sets[0], None);
            self.device.destroy_shader_module(module, None);
            answer
        }
    }

    /// What the driver says about the only stage of a pipeline.
    fn read(&self, pipeline: vk::Pipeline) -> Result<Answer> {
        let executable = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the pipeline is alive, was made with the flags that these calls ask for, and has one executable.
        let (properties, statistics) = unsafe {
            let of = vk::PipelineInfoKHR::default().pipeline(pipeline);
            (
                self.inspect.get_pipeline_executable_properties(&of).context("asking for properties")?,
                self.inspect.get_pipeline_executable_statistics(&executable).context("asking for statistics")?,
            )
        };
        let statistics = statistics.iter().filter(|s| s.format == vk::PipelineExecutableStatisticFormatKHR::UINT64);
        // SAFETY: the driver says by `format` which member of the union it wrote; others were left out above.
        let statistics = statistics.map(|s| (text(&s.name), unsafe { s.value.u64 })).collect();
        let subgroup = properties.first().map_or(0, |p| p.subgroup_size);
        Ok(Answer { statistics, subgroup, assembly: self.assembly(&executable)? })
    }

    /// The disassembly, the last text of those that the driver keeps.
    fn assembly(&self, executable: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String> {
        // SAFETY: as in `read`; this first call gives sizes only.
        let mut texts = unsafe { self.inspect.get_pipeline_executable_internal_representations(executable) }
            .context("asking for the disassembly")?;
        let mut buffers: Vec<Vec<u8>> = texts.iter().map(|t| vec![0; t.data_size]).collect();
        for (text, buffer) in texts.iter_mut().zip(&mut buffers) {
            text.p_data = buffer.as_mut_ptr().cast();
        }
        let mut count = u32::try_from(texts.len()).unwrap_or(0);
        let fill = self.inspect.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: `texts` has `count` elements, each of which points to a buffer of the `data_size` that it states.
        let result = unsafe { fill(self.device.handle(), executable, &mut count, texts.as_mut_ptr()) };
        result.result().context("reading the disassembly")?;
        let at = texts.iter().position(|t| text(&t.name).contains("Assembly"));
        let Some(at) = at else { bail!("the driver keeps no disassembly") };
        let bytes = CStr::from_bytes_until_nul(&buffers[at]).map_or(&buffers[at][..], CStr::to_bytes);
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: everything that was made from the device has been destroyed, and the instance outlives it.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

fn layout_binding(at: u32, uniform: bool) -> vk::DescriptorSetLayoutBinding<'static> {
    let ty = if uniform { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
    vk::DescriptorSetLayoutBinding::default()
        .binding(at)
        .descriptor_type(ty)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
}

/// A device with what wgpu asks for, as far as it decides the code: robust buffers, 16-bit storage and arithmetic, the memory model. Whether it
/// has cooperative matrices.
fn open_device(instance: &Instance, physical: vk::PhysicalDevice) -> Result<(Device, bool)> {
    // SAFETY: the instance is alive and the device is one of its own.
    let listed =
        unsafe { instance.enumerate_device_extension_properties(physical) }.context("asking for extensions")?;
    let has = |name: &CStr| listed.iter().any(|e| e.extension_name_as_c_str().is_ok_and(|n| n == name));
    if !has(khr::pipeline_executable_properties::NAME) {
        bail!("the driver has no VK_KHR_pipeline_executable_properties");
    }
    let mut names = vec![khr::pipeline_executable_properties::NAME.as_ptr()];
    let mut inspect =
        vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    let mut robust =
        vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true).robust_image_access2(true);
    let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
    let mut v11 = vk::PhysicalDeviceVulkan11Features::default()
        .storage_buffer16_bit_access(true)
        .uniform_and_storage_buffer16_bit_access(true);
    let mut v12 = vk::PhysicalDeviceVulkan12Features::default()
        .shader_float16(true)
        .vulkan_memory_model(true)
        .vulkan_memory_model_device_scope(true);
    let mut v13 = vk::PhysicalDeviceVulkan13Features::default()
        .shader_zero_initialize_workgroup_memory(true)
        .subgroup_size_control(true)
        .maintenance4(true);
    let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true).shader_int16(true);
    let queue = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    let mut info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queue)
        .enabled_features(&core)
        .push_next(&mut inspect)
        .push_next(&mut v11)
        .push_next(&mut v12)
        .push_next(&mut v13);
    if has(ash::ext::robustness2::NAME) {
        names.push(ash::ext::robustness2::NAME.as_ptr());
        info = info.push_next(&mut robust);
    }
    let has_matrix = has(khr::cooperative_matrix::NAME);
    if has_matrix {
        names.push(khr::cooperative_matrix::NAME.as_ptr());
        info = info.push_next(&mut matrix);
    }
    let info = info.enabled_extension_names(&names);
    // SAFETY: the chain of structures and the names live until the call returns; the names are of listed extensions.
    let device = unsafe { instance.create_device(physical, &info, None) }.context("creating a device")?;
    Ok((device, has_matrix))
}
