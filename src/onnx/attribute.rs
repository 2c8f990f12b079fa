//! Typed access to the attributes of a node, with defaults. An attribute of another type than asked
//! for is an error.

use super::{
    error::OnnxError,
    proto::{AttributeProto, NodeProto, attribute_proto::AttributeType},
    tensor::Tensor,
};

/// The attributes of one node.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(&'a NodeProto);

impl<'a> Attributes<'a> {
    pub fn of(node: &'a NodeProto) -> Self {
        Attributes(node)
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The names of the attributes that hold subgraphs.
    pub fn subgraphs(&self) -> impl Iterator<Item = &'a str> {
        self.0.attribute.iter().filter(|a| a.g.is_some() || !a.graphs.is_empty()).map(|a| a.name())
    }

    /// # Errors
    /// [`OnnxError::Attribute`] if it is not an integer.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, OnnxError> {
        Ok(self.typed(name, AttributeType::Int)?.map_or(default, |a| a.i()))
    }

    /// # Errors
    /// [`OnnxError::Attribute`] if it is not a float.
    pub fn float(&self, name: &str, default: f32) -> Result<f32, OnnxError> {
        Ok(self.typed(name, AttributeType::Float)?.map_or(default, |a| a.f()))
    }

    /// # Errors
    /// [`OnnxError::Attribute`] if it is not a string, or not UTF-8.
    pub fn string(&self, name: &str, default: &str) -> Result<String, OnnxError> {
        match self.typed(name, AttributeType::String)? {
            None => Ok(default.to_string()),
            Some(a) => String::from_utf8(a.s().to_vec()).map_err(|_| fault(name, "is not UTF-8")),
        }
    }

    /// # Errors
    /// [`OnnxError::Attribute`] if it is not a list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, OnnxError> {
        Ok(self.typed(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    /// # Errors
    /// [`OnnxError::Attribute`] if it is not a list of floats.
    pub fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, OnnxError> {
        Ok(self.typed(name, AttributeType::Floats)?.map(|a| a.floats.as_slice()))
    }

    /// The strings of a list; none where there is no such attribute.
    ///
    /// # Errors
    /// [`OnnxError::Attribute`] if it is not a list of strings in UTF-8.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, OnnxError> {
        let all = self.typed(name, AttributeType::Strings)?.map_or(&[][..], |a| &a.strings);
        all.iter().map(|s| String::from_utf8(s.to_vec()).map_err(|_| fault(name, "is not UTF-8"))).collect()
    }

    /// # Errors
    /// [`OnnxError::Attribute`] if it is not a tensor, [`OnnxError::Tensor`] if the tensor is
    /// faulty.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, OnnxError> {
        match self.typed(name, AttributeType::Tensor)? {
            None => Ok(None),
            Some(a) => a.t.as_ref().map(Tensor::from_proto).transpose(),
        }
    }

    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|a| a.name() == name)
    }

    fn typed(&self, name: &str, wanted: AttributeType) -> Result<Option<&'a AttributeProto>, OnnxError> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        if !attribute.ref_attr_name().is_empty() {
            return Err(fault(name, "refers to a function's attribute, which is not supported"));
        }
        // files of IR version 1 have no type field
        match attribute.r#type {
            None | Some(0) => Ok(Some(attribute)),
            Some(code) if code == wanted as i32 => Ok(Some(attribute)),
            Some(_) => Err(fault(name, &format!("is not of type {}", wanted.as_str_name()))),
        }
    }
}

fn fault(attribute: &str, what: &str) -> OnnxError {
    OnnxError::Attribute { attribute: attribute.to_string(), what: what.to_string() }
}
